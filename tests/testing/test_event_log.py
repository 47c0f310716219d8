from langchain_budget import BudgetPool, usd
from langchain_budget.events import AccountFrozen, Released, Reserved, Settled
from langchain_budget.testing import EventLog, capture


def test_events_are_noted_in_order_and_found_by_kind() -> None:
    pool = BudgetPool("acme", usd(1))

    with capture(pool) as events:
        pool.reserve(usd("0.10")).release()
        with pool.reserve(usd(1)) as reservation:
            reservation.settle(usd(1))

    assert events.kinds == [Reserved, Released, Reserved, Settled, AccountFrozen]
    assert [each.amounts for each in events.of(Settled)] == [{"usd": usd(1).value}]


def test_what_happens_outside_of_the_block_is_not_noted() -> None:
    pool = BudgetPool("acme", usd(1))
    pool.freeze()

    with capture(pool) as events:
        pass
    pool.thaw()

    assert events == EventLog()


def test_a_log_may_be_subscribed_for_longer() -> None:
    pool, log = BudgetPool("acme", usd(1)), EventLog()
    pool.subscribe(log.append)

    pool.freeze("audit")

    (frozen,) = log.of(AccountFrozen)
    assert (frozen.account, frozen.reason) == ("acme", "audit")
