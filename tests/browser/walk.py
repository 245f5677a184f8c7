"""One person's tab, and what a browser complains of meanwhile."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, Response, Route

from tests.browser.stage import Stage

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Visit:
    """`page` is the tab. `troubles` are console errors, exceptions, dialogs, 5xx answers and requests elsewhere."""

    def __init__(self, stage: Stage, context: BrowserContext) -> None:
        self.stage = stage
        self.context = context
        self.troubles: list[str] = []
        self.requested: list[str] = []
        self.expected_statuses: set[int] = set()
        context.route("**/*", self._only_ours)
        context.add_init_script(WATCH)
        context.on("page", self._watch)
        self.page = context.new_page()

    def go(self, path: str, *, status: int = 200) -> Page:
        """Open an address and wait until nothing more is loaded."""
        self.expected_statuses = {status}
        answer = self.page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        self.check(path)
        return self.page

    def check(self, where: str = "") -> None:
        """Note what the page's own policy refused since it was loaded."""
        for violation in self.page.evaluate("window.violations ?? []"):
            self.troubles.append(f"{where} policy: {violation}")

    def _watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url} exception: {error}"))
        page.on("dialog", self._dialog)
        page.on("response", self._answered)
        page.on("request", lambda request: self.requested.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(f"status of {each}" in message.text for each in self.expected_statuses):
            self.troubles.append(f"{message.location.get('url', '')} console: {message.text[:300]}")

    def _dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.troubles.append(f"{dialog.type} dialog: {dialog.message}")
        dialog.accept()

    def _answered(self, response: Response) -> None:
        if response.status >= 500 and response.status not in self.expected_statuses:
            self.troubles.append(f"{response.url}: {response.status}")

    def _only_ours(self, route: Route, request: Request) -> None:
        asked, ours = urlsplit(request.url), urlsplit(self.stage.url)
        if (asked.scheme, asked.netloc) == (ours.scheme, ours.netloc) or asked.scheme in ("data", "blob"):
            route.continue_()
        else:
            self.troubles.append(f"request to {request.url}")
            route.abort()
