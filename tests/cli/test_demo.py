"""The demo: a story of refusal and revival, and books that a server confirms."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from langchain_budget import BudgetPool, tokens
from langchain_budget.cli.demo_graph import build_graph, open_accounts
from langchain_budget.cli.demo_script import MODEL, RULES
from langchain_budget.testing import FakeChatModel, Fault, Rule, ScriptedServer
from tests import real_model
from tests.cli.conftest import Ran, Run


@pytest.fixture(scope="module", params=["1", "2"])
def ran(run: Run, request: pytest.FixtureRequest) -> Ran:
    return run("demo", "--plain", "--seed", request.param)


class TestByItself:
    """With a server of its own, which needs no key and no network."""

    def test_succeeds_and_complains_of_nothing(self, ran: Ran) -> None:
        assert ran.code == 0
        assert ran.err == ""
        assert "This time" not in ran.out

    def test_every_agent_pays_for_its_calls(self, ran: Ran) -> None:
        paid = Counter(re.findall(r"^  paid +([\w/]+)", ran.out, re.MULTILINE))

        assert sum(paid.values()) == ran.total[0]
        assert paid["analysts/analyst"] == 5
        assert {*paid} >= {
            "supervisor",
            "research/gather",
            "research/digest",
            "writer/model",
            "writer/tools",
        }

    def test_one_is_refused_and_frozen_while_others_go_on(self, ran: Ran) -> None:
        refused, frozen, thawed = places(ran, "refused", "frozen", "thawed")

        assert refused < frozen < thawed
        assert "analysts" in ran.out[refused:frozen]
        assert "paid    writer/model" in ran.out[frozen:thawed]
        assert "paid    analysts" not in ran.out[frozen:thawed]

    def test_a_transfer_revives_it_and_it_finishes(self, ran: Ran) -> None:
        moved, thawed = places(ran, "moved", "thawed")

        assert moved < thawed
        assert re.search(r"research +\$\d\.\d{6} to analysts", ran.out[moved:thawed])
        assert "paid    analysts/analyst" in ran.out[thawed:]

    def test_the_books_are_what_the_server_counted(self, ran: Ran) -> None:
        calls, into, out = ran.total

        counted = f"{calls:,} calls, {into:,} input, {out:,} output tokens"
        assert f"ok    server counted: {counted}" in ran.out
        assert "ok    the books say the same, to the token" in ran.out
        assert "ok    nothing is held any more" in ran.out
        assert "ok    no limit was exceeded" in ran.out

    def test_fits_in_eighty_columns(self, ran: Ran) -> None:
        assert max(map(len, ran.out.splitlines())) <= 80


class TestOnAnotherServer:
    """The same graph, wherever OpenAI's API is spoken."""

    @pytest.fixture
    def served(self) -> Iterator[ScriptedServer]:
        with ScriptedServer(RULES, seed=3) as server:
            yield server

    def test_totals_are_those_of_the_servers_own_log(
        self, run: Run, served: ScriptedServer
    ) -> None:
        ran = run(*at(served.base_url), "--input-price", "2", "--output-price", "8")

        assert ran.code == 0
        assert ran.total == calls_first(served)
        assert ran.agents() == by_agent(served)
        assert "server counted: not known here" in ran.out

    def test_limits_are_in_tokens_where_no_price_is_known(
        self, run: Run, served: ScriptedServer
    ) -> None:
        ran = run(*at(served.base_url))

        assert ran.code == 0
        assert ran.total == calls_first(served)
        assert re.search(r"^  moved .* tokens to analysts", ran.out, re.MULTILINE)
        assert "unknown" in ran.out

    def test_unreported_usage_is_said_to_be_estimated(self, run: Run) -> None:
        silent = Rule(says="Sum this up", fault=Fault(no_usage=True))
        with ScriptedServer([silent, *RULES]) as server:
            ran = run(*at(server.base_url))

        assert ran.code == 0
        assert re.search("paid    research/digest .* estimated", ran.out)
        assert "calls without reported usage, estimated: 1" in ran.out

    def test_a_failing_server_is_an_error_with_books(self, run: Run) -> None:
        broken = Rule(says="You are a writer", fault=Fault(status=500))
        with ScriptedServer([broken, *RULES]) as server:
            ran = run(*at(server.base_url))
            total = calls_first(server)

        assert ran.code == 1
        assert "failed" in ran.out
        assert "Traceback" not in ran.err
        assert ran.total == total

    def test_a_model_that_talks_nonsense_is_metered_to_the_token(
        self, run: Run, local_llm: str
    ) -> None:
        before = real_model.served_tokens(local_llm)

        ran = run(*at(f"{local_llm}/v1", real_model.MODEL))

        after = real_model.served_tokens(local_llm)
        assert ran.code == 0
        assert ran.total[1:] == (
            after.input - before.input,
            after.output - before.output,
        )
        assert ran.total[0] >= 10


def test_a_limit_that_is_too_small_stops_the_graph_and_says_why(run: Run) -> None:
    ran = run("demo", "--plain", "--limit", "0.0001")

    assert ran.code == 0
    assert ran.total == (0, 0, 0)
    assert "stopped early: account 'team/supervisor' has $0.000007" in ran.out


def test_the_key_is_not_shown(run: Run) -> None:
    with ScriptedServer(RULES) as server:
        arguments = [*at(server.base_url), "--api-key-env", "DEMO_KEY"]
        ran = run(*arguments, DEMO_KEY="not-for-the-eyes")

    assert ran.code == 0
    assert "not-for-the-eyes" not in ran.out + ran.err


def test_nothing_leaves_the_machine_whatever_is_set(run: Run) -> None:
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(["HTTP_PROXY", "http_proxy", "OPENAI_PROXY"], nowhere)

    ran = run(
        "demo",
        "--plain",
        LANGSMITH_TRACING="true",
        LANGSMITH_ENDPOINT=nowhere,
        **proxies,
    )

    assert ran.code == 0
    assert ran.err == ""


def test_a_drawing_of_the_graph_shows_where_the_guard_leads() -> None:
    pool = BudgetPool("team", tokens(10_000))
    open_accounts(pool, tokens(10_000))

    drawn = build_graph(pool, lambda *_: FakeChatModel(), "tokens").get_graph()

    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert {
        ("supervisor", "guard"),
        ("guard", "analysts"),
        ("guard", "revive"),
        ("revive", "analysts"),
        ("supervisor", "__end__"),
    } <= edges


def places(ran: Ran, *kinds: str) -> list[int]:
    """Where lines of these kinds stand first."""
    return [ran.out.index(f"\n  {kind} ") for kind in kinds]


def at(url: str, model: str = MODEL) -> list[str]:
    return ["demo", "--plain", "--base-url", url, "--model", model]


def calls_first(server: ScriptedServer) -> tuple[int, int, int]:
    total = server.total
    return total.calls, total.input_tokens, total.output_tokens


def by_agent(server: ScriptedServer) -> dict[str, tuple[int, int, int]]:
    sums: dict[str, tuple[int, int, int]] = {}
    for each in server.log():
        calls, into, out = sums.get(each.agent, (0, 0, 0))
        sums[each.agent] = (
            calls + 1,
            into + each.prompt_tokens,
            out + each.completion_tokens,
        )
    return sums
