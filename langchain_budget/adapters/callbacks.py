"""The callback handler: it meters every model call, and refuses before the call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langgraph.errors import GraphInterrupt

from langchain_budget.account import Account, account_of, below
from langchain_budget.adapters.asked import Asked, booking_of
from langchain_budget.adapters.attribution import Caller, caller_of
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.context import innermost, scope_now
from langchain_budget.adapters.exits import all_heard, close_unheard
from langchain_budget.adapters.finder import Finder
from langchain_budget.adapters.heralds import is_held_by_model
from langchain_budget.adapters.inline import HeardHandler
from langchain_budget.adapters.pieces import delta_of, piece_of
from langchain_budget.adapters.requests import Messages
from langchain_budget.adapters.runs import Run
from langchain_budget.adapters.steps import STEPS
from langchain_budget.adapters.top_ups import OnRefusal, check_refusal, mender
from langchain_budget.adapters.underway import Announcement, Call
from langchain_budget.adapters.weaknesses import two_handlers
from langchain_budget.errors import BudgetExceeded, BudgetRefused
from langchain_budget.ledger import Ledger

Charged = tuple[Ledger, str]
Reserve = Literal["estimate", "worst"]


class MeterHandler(HeardHandler):
    """What all handlers here do; they differ in where a call is charged."""

    raise_error = True
    ignore_retriever = True
    ignore_retry = True
    ignore_custom_event = True

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **options: Any,
    ) -> None:
        """Hold what the call may cost, or raise before it is made."""
        self._start(messages[0], run_id, parent_run_id, options)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **options: Any,
    ) -> None:
        """Likewise, for models that complete plain text."""
        self._start(prompts, run_id, parent_run_id, options)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **options: Any,
    ) -> None:
        """Count what was streamed, for calls that are cut short."""
        CALLS.token(run_id, self, piece_of(token, getattr(chunk, "message", None)))

    def on_stream_event(self, event: Any, *, run_id: UUID, **options: Any) -> None:
        """Likewise, for streams of protocol events."""
        if event.get("event") == "content-block-delta":
            CALLS.token(run_id, self, delta_of(event))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **options: Any) -> None:
        """Settle at what the provider reported."""
        CALLS.end(run_id, self, response)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **options: Any
    ) -> None:
        """Settle at what the call can have cost before it failed."""
        CALLS.fail(run_id, self, error)

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Remember what encloses the calls to come, once for all handlers."""
        run = Run(_number(parent_run_id), "", scope_now.get())
        if CALLS.runs.start(run_id, run) and STEPS:
            CALLS.runs.fill_in(run_id, STEPS.entered(run, metadata))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **options: Any) -> None:
        """Close calls whose end will not be reported."""
        self._leave(run_id, None)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, **options: Any
    ) -> None:
        """Close calls whose end will not be reported."""
        self._leave(run_id, error)

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **options: Any,
    ) -> None:
        """Remember which tool encloses the calls to come."""
        name = (serialized or {}).get("name") or options.get("name") or ""
        run = Run(_number(parent_run_id), str(name), scope_now.get())
        CALLS.runs.start(run_id, run)

    def on_tool_end(self, output: Any, *, run_id: UUID, **options: Any) -> None:
        """Close calls whose end will not be reported."""
        self._leave(run_id, None)

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, **options: Any
    ) -> None:
        """Close calls whose end will not be reported."""
        self._leave(run_id, error)

    def _charged(self, caller: Caller, parent: UUID | None) -> Iterable[Charged]:
        """The books and accounts that a caller is charged to, one of each books."""
        raise NotImplementedError

    def keeps(self, ledger: Ledger, parent: UUID | None) -> bool:
        """Whether a call below *parent* is surely held for here, on these books."""
        own, ours = type(self), MeterHandler
        return (
            self.raise_error
            and not (self.ignore_llm or self.ignore_chat_model)
            and own.on_chat_model_start is ours.on_chat_model_start
            and own.on_llm_start is ours.on_llm_start
            and self._is_on(ledger, parent)
        )

    def _is_on(self, ledger: Ledger, parent: UUID | None) -> bool:
        raise NotImplementedError

    def _reserve_worst(self) -> bool:
        return False

    def _beside(self, first: object, ledger: Ledger) -> None:
        """Another handler holds for the call on these books already."""

    _mend: Callable[[BudgetExceeded], None] | None = None
    """What is done about a call that is not affordable, before it is refused."""

    def _start(
        self,
        messages: Messages,
        run_id: UUID,
        parent: UUID | None,
        options: Mapping[str, Any],
    ) -> None:
        caller = caller_of(options.get("metadata") or {})
        asked = Asked(messages, run_id, parent, caller, options)
        announced = asked.announced()
        try:
            for ledger, account in self._charged(caller, parent):
                self._hold(ledger, account, asked, announced)
        except BaseException as error:
            stops = self.raise_error and not isinstance(error, NotImplementedError)
            CALLS.call_off(announced, error, owner=None if stops else self)
            if stops and isinstance(error, BudgetRefused | GraphInterrupt):
                close_unheard()
            raise

    def _hold(
        self, ledger: Ledger, account: str, asked: Asked, announced: Announcement
    ) -> None:
        options, run_id = asked.options, asked.run_id
        if is_held_by_model(asked.params, ledger):
            return
        for other in self.told_before(options.get("metadata")):
            if isinstance(other, MeterHandler) and other.keeps(ledger, asked.parent):
                self._beside(other, ledger)
                return
        mine = Call(ledger, self, announced=announced)
        call = CALLS.enter(run_id, mine, has_siblings=asked.has_siblings)
        if call is not mine:
            if call.owner is not self:
                self._beside(call.owner, ledger)
        else:
            call.heard = all_heard()
            how = self._reserve_worst(), self._mend
            booking = partial(booking_of, asked, ledger, account, *how)
            CALLS.begin(run_id, asked.parent, call, booking)

    def _leave(self, run_id: UUID, error: BaseException | None) -> None:
        CALLS.leave(run_id, error)
        run = CALLS.runs.end(run_id)
        if run is not None:
            STEPS.leave(run_id, run)


class BudgetCallbackHandler(MeterHandler):
    """
    Meters every model call below it, per agent and node, and holds before the call.

    Pass it in `config={"callbacks": [handler]}` to any runnable or graph. A call is
    charged to the account that is named like its agent, or like the graph node
    around it, below *account*; without a match to *account* itself.

    Args:
        account: A pool or one of its accounts.
        accounts: Accounts by the name of an agent or node, where names differ.
        on_exceeded: `"error"` raises the refusal; inside a graph, `"interrupt"` asks
            a person for a top-up first, and `"drain"` has the graph stop at the end
            of this step as well.
        reserve: `"estimate"` holds the input and the answer's cap, or the size
            learned from earlier answers; `"worst"` holds the longest answer that is
            possible, at the price of plain input and output.

    Raises:
        UnknownAccount: *accounts* names an account that does not exist.

    >>> from langchain_budget import BudgetCallbackHandler, BudgetPool, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> pool = BudgetPool("acme", tokens(5_000))
    >>> handler = BudgetCallbackHandler(pool)
    >>> model = FakeChatModel(replies=["Hello."], usage=(12, 3))
    >>> answer = model.invoke("Hi", config={"callbacks": [handler]})
    >>> print(pool.balance("tokens").spent)
    15 tokens
    """

    def __init__(
        self,
        account: Account,
        *,
        accounts: Mapping[str, Account | str] | None = None,
        reserve: Reserve = "estimate",
        on_exceeded: OnRefusal = "error",
    ) -> None:
        super().__init__()
        if reserve not in ("estimate", "worst"):
            msg = f"reserve={reserve!r}: choose 'estimate' or 'worst'"
            raise ValueError(msg)
        self.account = account_of(account)
        how = check_refusal(on_exceeded)
        self._mend = mender(self.account.ledger, self.account.path, how)
        self._worst = reserve == "worst"
        ledger = self.account.ledger
        paths = {name: below(a, account.path) for name, a in (accounts or {}).items()}
        for path in paths.values():
            ledger.run(ledger.route(path))
        self._finder = Finder(paths)

    def _blocks(self) -> bool:
        return self.account.ledger.store.blocking

    def _charged(self, caller: Caller, parent: UUID | None) -> Iterable[Charged]:
        ledger = self.account.ledger
        base = innermost(self.account)
        return [(ledger, self._finder.find(ledger, base, caller))]

    def _is_on(self, ledger: Ledger, parent: UUID | None) -> bool:
        return ledger.is_same(self.account.ledger)

    def _reserve_worst(self) -> bool:
        return self._worst

    def _beside(self, first: object, ledger: Ledger) -> None:
        if isinstance(first, BudgetCallbackHandler):
            two_handlers(ledger, first.account.path, self.account.path)


def _number(run_id: UUID | None) -> int | None:
    return run_id.int if run_id else None
