"""Chooses the kernel thread that handles messages from the page.

A page, such as JupyterLab, may name the subshell (thread) of the kernel for each message. ipykernel
7.4 overrides it: the message goes to the subshell whose request was handled last when the panel
last sent something. Panels send from their own threads, so that may be the deleted subshell of a
closed tab. Then ipykernel drops every message from the page, Stop included, until a cell runs.
"""

from __future__ import annotations

from typing import Any


def hear_where_sent(comm: Any) -> None:
    """Handle messages for `comm` in the subshell that the page names, as other versions do, or in
    the main thread if that subshell is gone."""

    def route(data: object, sent_to: str | None) -> str | None:
        alive = comm.kernel.shell_channel_thread.manager.list_subshell()
        return sent_to if sent_to in alive else None

    # ipykernel 7.4 asks this of a comm; to others the name means nothing.
    comm._reply_subshell_for = route
