"""Which thread of the kernel hears what the page says.

A page may say for each message to which subshell, that is thread, of the kernel it goes; JupyterLab
does. ipykernel 7.4 overrules it: a message goes to the subshell whose request was the last one
handled when the panel last spoke. Panels speak from threads of their own while they work, so that
may be the subshell of a tab that has been closed since, which is deleted; then all the page says is
dropped, Stop included, until a cell runs.
"""

from __future__ import annotations

from typing import Any


def hear_where_sent(comm: Any) -> None:
    """Have messages for `comm` handled where the page sends them, as other versions do, and in the
    main thread where that subshell is gone."""

    def route(data: object, sent_to: str | None) -> str | None:
        alive = comm.kernel.shell_channel_thread.manager.list_subshell()
        return sent_to if sent_to in alive else None

    # ipykernel 7.4 asks this of a comm; to others the name means nothing.
    comm._reply_subshell_for = route
