"""Page modules: how they are joined, and that what is joined holds together."""

import re
import shutil
import subprocess

import pytest
from workbench.widgets.shared import pages
from workbench.widgets.shared.pages import page, style

from workbench import widgets

PANELS = [getattr(widgets, name) for name in widgets.__all__ if name.endswith("Panel")]
MODULES = sorted(pages.FOLDER.glob("*/*.js"))
# What stands at the top of the text: a line that begins there, and its name or names.
TOP = re.compile(
    r"^(?:async )?(?:function|const|let|class) (\w+|\[[^\]]*\]|\{[^}]*\})", re.MULTILINE
)


@pytest.fixture
def write(tmp_path):
    """Writes modules by name, and joins them from `main.js` on."""

    def write(**modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
        return page(tmp_path / "main.js")

    return write


def test_a_module_comes_once_and_after_what_it_imports(write):
    joined = write(
        main='import { b } from "./left.js";\nimport {\n  a,\n} from "./base.js";\nconst c = a;\n',
        left='import { a } from "./base.js";\nexport const b = a + 1;\n',
        base="export const a = 1;\nexport async function f() {}\nexport function g() {}\n",
    )
    base = "const a = 1;\nasync function f() {}\nfunction g() {}\n"
    assert joined == f"{base}\nconst b = a + 1;\n\nconst c = a;\n"


def test_only_the_entry_says_what_anywidget_renders(write):
    end = "export default { render };\n"
    joined = write(
        main=f'import {{ a }} from "./other.js";\n{end}', other=f"export const a = 1;\n{end}"
    )
    assert joined.count("export") == 1 and joined.endswith(end)


@pytest.mark.parametrize(
    "modules, error",
    [
        ({"main": 'import { a, b } from "./m.js";\n', "m": "export const a = 1;\nconst b = 2;\n"},
         r"main\.js imports b from .*m\.js, which does not export it"),
        ({"main": 'import { a } from "./gone.js";\n'},
         r"there is no page module .*gone\.js, which .*main\.js imports"),
        ({"main": 'import { a } from "./m.js";\nexport const b = 1;\n',
          "m": 'import { b } from "./main.js";\nexport const a = 1;\n'},
         r"import each other: .*main\.js -> .*m\.js -> .*main\.js"),
        ({"main": 'import { a as b } from "./m.js";\n'}, r"main\.js: cannot join ' a as b '"),
        ({"main": 'import * as m from "./m.js";\n'}, r"cannot join .import \* as m"),
        ({"main": "export { a };\n"}, r"cannot join .export \{ a \}"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_said(write, modules, error):
    with pytest.raises(ImportError, match=error):
        write(**modules)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.__name__)
def test_no_name_is_defined_twice_in_what_a_panel_loads(panel):
    text = panel._esm
    names = [name for found in TOP.findall(text) for name in re.findall(r"\w+", found)]
    assert len(names) > 50 and sorted(set(names)) == sorted(names)
    assert not re.search(r"^import\b", text, re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default { render };"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.__name__)
def test_a_panel_has_the_shared_styles_and_its_own(panel):
    folder = panel.__module__.split(".")[2]
    own = [path.read_text(encoding="utf-8") for path in (pages.FOLDER / folder).glob("*.css")]
    shared = [path.read_text(encoding="utf-8") for path in (pages.FOLDER / "shared").glob("*.css")]
    assert own and panel._css == style(folder)
    assert all(text in panel._css for text in (*own, *shared))


def test_every_page_module_is_part_of_some_panel():
    joined = "\n".join(panel._esm for panel in PANELS)
    first_lines = {path: path.read_text(encoding="utf-8").splitlines()[0] for path in MODULES}
    assert [path.name for path, line in first_lines.items() if line not in joined] == []


def test_what_is_exported_is_imported_by_another_module():
    imported, exported = set(), set()
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for names, source in re.findall(r'^import \{([^}]*)\} from "([^"]+)"', text, re.MULTILINE):
            module = (path.parent / source).resolve()
            imported |= {(module, name) for name in re.findall(r"\w+", names)}
        names = re.findall(
            r"^export (?:async function|function|const|let) (\w+)", text, re.MULTILINE
        )
        exported |= {(path, name) for name in names}
    assert exported and exported == imported


def test_the_shared_modules_import_no_panel():
    for path in (pages.FOLDER / "shared").glob("*.js"):
        found = re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8"))
        assert all(re.fullmatch(r"\./\w+\.js", name) for name in found), path.name


def test_pages_are_joined_once():
    assert page("look/panel.js") is page("look/panel.js")


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node to read the modules with")
def test_node_reads_what_a_panel_loads(tmp_path):
    for panel in PANELS:
        joined = tmp_path / f"{panel.__name__}.mjs"
        joined.write_text(panel._esm, encoding="utf-8")
        done = subprocess.run(["node", "--check", joined], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
