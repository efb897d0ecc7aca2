"""A chat template is a program from a file: it gets a second, 256 MB, and nothing else."""

import subprocess
import sys
import threading
import time

import psutil
import pytest
from patience import SLOW

from workbench.errors import ChatTemplateError, PromptError
from workbench.tokenizers.chat_renderer import _PROGRAM, Renderer
from workbench.tokenizers.limited import _Watched


@pytest.fixture(scope="module")
def renderer():
    """A process of this module's own."""
    made = Renderer()
    yield made
    made.close()


DOUBLING = (
    "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x * 2 %}{% endfor %}"
)
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (LOOP, "more than 1 s"),
        (DOUBLING, "256 MB"),
        ("{{ 'A' * 3000000000 }}", "256 MB"),
        ("{{ 'A' | center(3000000000) }}", "256 MB"),
        ("{{ '%3000000000d' % 1 }}", "256 MB"),
        ("{{ 7 ** (10 ** 9) }}", "1 s|256 MB"),
        ("{{ 'A' * 2000000 }}", "1048576 characters"),
        ("{% for i in range(99999) %}{{ 'A' * 99 }}{% endfor %}", "1048576 characters"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "Recursion"),
        ("{% for i in range(1000000000) %}{% endfor %}", "Range too big"),
    ],
)
def test_work_and_memory_are_bounded(renderer, source, reason):
    with pytest.raises(ChatTemplateError, match=reason) as caught:
        renderer.render(source, {})
    assert len(str(caught.value)) <= 2000


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['sys'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{% set f = '{0.__class__}'.format %}{{ f(messages) }}",
        "{{ messages|map(attribute='__class__')|list|first }}",
        "{{ messages.append('x') }}",
        "{{ messages[0].update({}) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ lipsum.__globals__ }}",
    ],
)
def test_the_sandbox_holds(renderer, source):
    messages = [{"role": "user", "content": "x"}]
    try:
        text = renderer.render(source, {"messages": messages})
    except ChatTemplateError:
        return
    assert text == ""  # an attribute that may not be seen is undefined


def test_a_template_that_is_wrong_says_where(renderer):
    with pytest.raises(ChatTemplateError, match="line 2: Expected"):
        renderer.render("ok\n{% if %}", {})
    with pytest.raises(ChatTemplateError, match="'nothing' is undefined"):
        renderer.render("{{ nothing.at.all }}", {})
    with pytest.raises(ChatTemplateError, match="at most 1048576 characters"):
        renderer.render("x" * 2_000_000, {})


def test_a_long_refusal_is_cut(renderer):
    with pytest.raises(ChatTemplateError) as caught:
        renderer.render("{{ raise_exception('A' * 500000) }}", {})
    assert len(str(caught.value)) <= 2000


def test_what_is_no_data_is_refused(renderer):
    with pytest.raises(PromptError, match="plain data"):
        renderer.render("x", {"messages": object()})


def test_after_a_limit_the_next_template_works(renderer):
    with pytest.raises(ChatTemplateError):
        renderer.render("{{ 'A' * 3000000000 }}", {})
    assert renderer.render("{{ 1 + 1 }}", {}) == "2"


def test_many_threads_each_get_their_own_text(renderer):
    found = {}

    def render(number):
        found[number] = renderer.render("{{ n }}", {"n": number})

    threads = [threading.Thread(target=render, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(16)}


def test_the_process_is_quick_and_kept_and_goes():
    own = Renderer()
    assert own.render("{{ 1 }}", {}) == "1"
    child = psutil.Process(own._process.pid)
    spent = child.cpu_times()
    assert spent.user + spent.system < 0.5 * SLOW
    assert own.render("{{ 2 }}", {}) == "2"
    assert own._process.pid == child.pid
    own.close()
    assert not child.is_running()


def test_where_the_system_sets_no_limits_the_parent_watches():
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    watched = _Watched(child.pid, _PROGRAM)
    calm = watched.is_over()
    time.sleep(0.1)
    while (spent := psutil.Process(child.pid).cpu_times()).user + spent.system < 1.3:
        time.sleep(0.05)
    busy = watched.is_over()
    child.kill()
    child.wait()
    assert (calm, busy, watched.is_over()) == (False, True, False)


def test_a_process_that_was_killed_is_replaced():
    own = Renderer()
    own.render("x", {})
    own._process.kill()
    own._process.wait()
    assert own.render("y", {}) == "y"
    own.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_the_process_sees_no_packages_and_nothing_of_the_kernel(renderer):
    renderer.render("x", {})
    child = psutil.Process(renderer._process.pid)
    assert "-I" in child.cmdline() and "-S" in child.cmdline()
    assert child.memory_info().rss < 100 * 2**20
