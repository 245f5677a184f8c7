"""Monthly recurring revenue and its movements (S18, S19). They close: opening + new + expansion + reactivation
- contraction - churn + exchange rates = closing, over every period.

A movement compares the start of the period shown with its end, customer by customer: a customer who comes and goes
within it is in neither, and a month's churn is not the sum of its days'. So these metrics are neither added nor split.
"""

from __future__ import annotations

from kpis.base import Formula, Kind, Measure, Metric, Ratio, Recurring, Unit, register
from kpis.metrics.shapes import Better, thresholds
from kpis.taxonomy import named

PRICES = "subscriptions.prices"
POLICY = (
    "A year counts a twelfth a month, a week 52 twelfths; one-off sales, taxes and free trials are not in it, "
    "discounts that recur are; amounts in other currencies at the rate of the day they were agreed or renewed."
)

register(
    Measure(
        id=PRICES,
        aggregate="prices",
        events=named("subscription_started", "subscription_renewed", "subscription_changed", "subscription_cancelled"),
        field="amount_base",
    )
)


def movement(
    part: str,
    name: str,
    help: str,
    in_words: str,
    example: str,
    *,
    better: Better = "up",
    unit: Unit = Unit.MONEY,
    id: str = "",
) -> Metric:
    return Metric(
        id=f"mrr.{id or part}",
        name=name,
        help=help,
        in_words=in_words,
        example=example,
        form=Recurring(PRICES, part),
        unit=unit,
        better=better,
        owner="finance",
    )


def people(part: str, name: str, help: str, in_words: str, example: str, *, better: Better = "up") -> Metric:
    return movement(part, name, help, in_words, example, better=better, unit=Unit.COUNT)


def rate(
    id: str, name: str, help: str, form: Ratio | Formula, in_words: str, example: str, limits: tuple[str, str] | None
) -> Metric:
    is_loss = id.endswith("churn")
    return Metric(
        id=f"mrr.{id}",
        name=name,
        help=help,
        in_words=in_words,
        example=example,
        form=form,
        unit=Unit.RATIO,
        better="down" if is_loss else "up",
        kind=Kind.KRI if is_loss else Kind.KPI,
        thresholds=thresholds(limits),
        owner="finance",
    )


register(
    movement(
        "opening",
        "Opening MRR",
        f"What all subscriptions bring a month, as it stood when the period began. {POLICY}",
        "monthly prices of subscriptions at the start",
        "Ann pays 10 a month, Bob 120 a year: 20",
    ),
    movement(
        "new",
        "New MRR",
        "What customers bring who pay at the end and had never paid before the period.",
        "closing prices of customers without any payment before",
        "Cyd starts for 30: 30",
    ),
    movement(
        "expansion",
        "Expansion MRR",
        "What customers pay more than at the start; changes of exchange rates are not in it.",
        "sum of rises of customers who paid at the start",
        "Ann goes from 10 to 15: 5",
    ),
    movement(
        "reactivation",
        "Reactivated MRR",
        "What customers bring who paid once, not at the start, and again at the end.",
        "closing prices of customers who came back",
        "Bob left in March and is back in April for 20: 20",
    ),
    movement(
        "contraction",
        "Contraction MRR",
        "What customers who stayed pay less than at the start, as a positive number.",
        "sum of falls of customers who paid at the start and still do",
        "Cyd goes from 30 to 20: 10",
        better="down",
    ),
    movement(
        "churn",
        "Churned MRR",
        "What customers paid at the start who pay nothing at the end, as a positive number.",
        "opening prices of customers who left",
        "Bob, who paid 10, leaves: 10",
        better="down",
    ),
    movement(
        "fx",
        "MRR from exchange rates",
        "What the same prices in other currencies became worth more, or less, since the start.",
        "opening price in its own currency × (closing rate - opening rate)",
        "10 dollars, first at 0.90 and then renewed at 0.95: 0.50",
    ),
    movement(
        "closing",
        "Monthly recurring revenue (MRR)",
        f"What all subscriptions bring a month, as it stands when the period ends. {POLICY}",
        "monthly prices of subscriptions at the end",
        "Ann pays 15 a month, Cyd 30: 45",
    ),
    people(
        "customers",
        "Subscribers",
        "Customers who pay something at the end of the period.",
        "customers with a price above 0 at the end",
        "Ann and Cyd: 2",
    ),
    people(
        "opening_customers",
        "Subscribers at the start",
        "Customers who paid something when the period began.",
        "customers with a price above 0 at the start",
        "Ann and Bob: 2",
    ),
    people(
        "churned_customers",
        "Subscribers lost",
        "Customers who paid at the start and pay nothing at the end.",
        "customers with a price at the start and none at the end",
        "Bob leaves: 1",
        better="down",
    ),
    Metric(
        id="mrr.arr",
        name="Annual recurring revenue",
        help="Twelve times the MRR at the end of the period. A rate of that moment, no forecast.",
        in_words="12 × MRR",
        example="12 × 45 = 540",
        form=Formula("12 * mrr.closing"),
        unit=Unit.MONEY,
        owner="finance",
    ),
    Metric(
        id="mrr.arpa",
        name="MRR per subscriber (ARPA)",
        help="What a subscriber brings a month on average at the end of the period.",
        in_words="MRR / subscribers",
        example="45 of 2: 22.50",
        form=Ratio("mrr.closing", "mrr.customers"),
        unit=Unit.MONEY,
        owner="finance",
    ),
    Metric(
        id="mrr.quick_ratio",
        name="Quick ratio of MRR",
        help="What was gained for each unit lost; exchange rates are in neither. Null when nothing was lost.",
        in_words="(new + expansion + reactivation) / (contraction + churn)",
        example="(30 + 5 + 0) / (0 + 10) = 3.5",
        form=Formula("(mrr.new + mrr.expansion + mrr.reactivation) / (mrr.contraction + mrr.churn)"),
        unit=Unit.NUMBER,
        thresholds=thresholds(("2", "1")),
        owner="finance",
    ),
    rate(
        "logo_churn",
        "Customer churn",
        "The share of the customers of the start who pay nothing at the end. A customer who comes and goes within the "
        "period is in neither number.",
        Ratio("mrr.churned_customers", "mrr.opening_customers"),
        "subscribers lost / subscribers at the start",
        "1 of 4: 0.25",
        ("0.05", "0.1"),
    ),
    rate(
        "gross_churn",
        "Gross MRR churn",
        "The share of the opening MRR that was lost to churn and contraction.",
        Formula("(mrr.churn + mrr.contraction) / mrr.opening"),
        "(churn + contraction) / opening",
        "(10 + 10) / 60 = 0.333",
        ("0.05", "0.1"),
    ),
    rate(
        "nrr",
        "Net revenue retention",
        "What the customers of the start bring at the end, for each unit they brought then. New and returning "
        "customers are not in it, nor are exchange rates.",
        Formula("(mrr.opening + mrr.expansion - mrr.contraction - mrr.churn) / mrr.opening"),
        "(opening + expansion - contraction - churn) / opening",
        "(60 + 2 - 10 - 10) / 60 = 0.7",
        ("1", "0.9"),
    ),
    rate(
        "grr",
        "Gross revenue retention",
        "As net revenue retention without expansion: never above 1.",
        Formula("(mrr.opening - mrr.contraction - mrr.churn) / mrr.opening"),
        "(opening - contraction - churn) / opening",
        "(60 - 10 - 10) / 60 = 0.667",
        ("0.9", "0.8"),
    ),
)
