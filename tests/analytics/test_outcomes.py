"""The ledger of outcomes: sums by hour of receipt, the same after its rows are merged."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

from django.core.management import call_command

from analytics.contracts import Outcome, Refusal
from analytics.models import Tenant
from analytics.outcomes import outcome_reasons, outcomes_between, outcomes_compact
from tests.analytics.events import NOON, event, ledger, rows, write

HOUR = timedelta(hours=1)


def fill(tenant: Tenant) -> None:
    for number in range(6):
        received = NOON + timedelta(minutes=20 * number)  # three in each of two hours
        write(tenant, [event(tenant, f"e{number}", received_at=received), event(tenant, "e0", received_at=received)])
    refusal = Refusal(tenant_id=tenant.pk, outcome=Outcome.REJECTED, reason="no_name", received_at=NOON)
    write(tenant, [], [refusal])


def test_outcomes_are_summed_over_hours_of_receipt(acme: Tenant, globex: Tenant) -> None:
    fill(acme)

    none = dict.fromkeys(Outcome, 0)
    first = {**none, Outcome.STORED: 3, Outcome.DUPLICATE: 3, Outcome.REJECTED: 1}
    both = {**none, Outcome.STORED: 6, Outcome.DUPLICATE: 6, Outcome.REJECTED: 1}
    assert outcomes_between(tenant_id=acme.pk, start=NOON, end=NOON + HOUR) == first
    assert outcomes_between(tenant_id=acme.pk, start=NOON + timedelta(minutes=9), end=NOON + 2 * HOUR) == both
    assert outcomes_between(tenant_id=globex.pk, start=NOON, end=NOON + HOUR) == none
    assert outcome_reasons(tenant_id=acme.pk, start=NOON, end=NOON + HOUR) == {
        (Outcome.DUPLICATE, ""): 3,
        (Outcome.REJECTED, "no_name"): 1,
        (Outcome.STORED, ""): 3,
    }


def test_merging_rows_keeps_the_sums_and_leaves_open_hours_alone(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        fill(tenant)
    before = ledger(acme)

    # 12:00 to 13:00 is over for an hour at 14:00, the next one is not
    assert outcomes_compact(tenant_id=acme.pk, now=NOON + 2 * HOUR) == 4

    assert ledger(acme) == before
    assert rows(acme, "SELECT hour, count(*) FROM bw_outcome GROUP BY 1 ORDER BY 1") == [(NOON, 3), (NOON + HOUR, 6)]
    assert rows(globex, "SELECT count(*) FROM bw_outcome") == [(13,)]
    assert outcomes_compact(tenant_id=acme.pk, now=NOON + 2 * HOUR) == 0


def test_the_command_merges_every_tenants_rows(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        fill(tenant)
    output = StringIO()
    call_command("compact_outcomes", stdout=output)
    assert output.getvalue() == "16 rows merged away\n"
    assert rows(acme, "SELECT count(*) FROM bw_outcome") == rows(globex, "SELECT count(*) FROM bw_outcome") == [(5,)]
