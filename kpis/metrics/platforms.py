"""The five platforms of a suite beside gaming: marketing, commerce, directory, trading. Orders and revenue are in
`revenue.py`, games in `gaming.py`; by `platform` any metric gives the unified view.
"""

from __future__ import annotations

from kpis.base import Condition, Share, Unit
from kpis.metrics.shapes import Family
from kpis.taxonomy import REVENUE_EVENTS

FROM_CAMPAIGN = (Condition("campaign", "is_null", False),)
BY_CAMPAIGN = ("campaign", "channel", "properties.campaign_type", "country")

marketing = Family(owner="marketing", by=BY_CAMPAIGN)
marketing.counted(
    "marketing.impressions",
    "Impressions",
    "Times an advertisement was shown. The property `campaign_type` (e-mail, social, search …), sent with "
    "advertisements and sales alike, is the type of campaign.",
    "ad_shown",
)
marketing.counted("marketing.clicks", "Clicks", "Clicks on advertisements.", "ad_clicked")
marketing.counted("marketing.leads", "Leads", "People who left an address.", "lead_created")
marketing.counted("marketing.conversions", "Converted leads", "Leads that became customers.", "lead_converted")
marketing.summed(
    "marketing.cost",
    "Campaign cost",
    "What campaigns have cost.",
    "campaign_charged",
    better="down",
    example="charges of 4.00 and 6.00: 10.00",
)
marketing.summed(
    "marketing.revenue",
    "Campaign revenue",
    "Gross revenue of sales that carry a campaign: the campaign of that visit, each sale once. Credit shared between "
    "campaigns is attribution's business.",
    *REVENUE_EVENTS,
    where=FROM_CAMPAIGN,
    example="a sale of 30.00 from a campaign and one of 5.00 from none: 30.00",
)
marketing.ratio(
    "marketing.click_rate",
    "Click rate",
    "Clicks for each time an advertisement was shown.",
    "marketing.clicks",
    "marketing.impressions",
    in_words="clicks / impressions",
    example="2 of 40: 0.05",
)
marketing.ratio(
    "marketing.lead_rate",
    "Lead rate",
    "Leads for each click.",
    "marketing.leads",
    "marketing.clicks",
    in_words="leads / clicks",
    example="1 of 4: 0.25",
)
marketing.ratio(
    "marketing.conversion",
    "Lead conversion",
    "Leads that became customers in the period for each lead of the period, whenever those leads were made.",
    "marketing.conversions",
    "marketing.leads",
    in_words="converted leads / leads",
    example="1 of 5: 0.2",
)
marketing.ratio(
    "marketing.cost_per_lead",
    "Cost per lead",
    "What a lead has cost.",
    "marketing.cost",
    "marketing.leads",
    in_words="campaign cost / leads",
    example="10.00 for 4 leads: 2.50",
    unit=Unit.MONEY,
    better="down",
)
marketing.ratio(
    "marketing.return_on_spend",
    "Return on campaign spend",
    "Revenue of campaigns for each unit of money spent on them.",
    "marketing.revenue",
    "marketing.cost",
    in_words="campaign revenue / campaign cost",
    example="30.00 for 10.00: 3",
    unit=Unit.NUMBER,
    limits=("1.5", "1"),
)

commerce = Family(owner="commerce", by=("country", "platform", "channel"))
commerce.counted(
    "commerce.product_views",
    "Product views",
    "Times a product's page was opened.",
    "product_viewed",
    by=("object_id", "content_type", "country", "platform"),
)
commerce.counted("commerce.carts", "Basket changes", "Times something was put in or taken out.", "cart_updated")
commerce.counted("commerce.checkouts", "Checkouts", "Times the way to pay was begun.", "checkout_started")
commerce.ratio(
    "commerce.checkout_rate",
    "Orders per checkout",
    "Orders for each checkout begun in the period.",
    "orders.count",
    "commerce.checkouts",
    in_words="orders / checkouts begun",
    example="3 orders, 4 checkouts: 0.75",
    limits=("0.6", "0.4"),
)
commerce.ratio(
    "commerce.products_per_order",
    "Products per order",
    "Pieces of products for each order.",
    "items.quantity",
    "orders.count",
    in_words="units sold / orders",
    example="8 pieces in 4 orders: 2",
    unit=Unit.NUMBER,
)

directory = Family(owner="directory", by=("content_type", "country", "properties.city"))
directory.counted(
    "directory.views",
    "Listing views",
    "Times a listing was opened, by category (`content_type`) and place.",
    "listing_viewed",
)
directory.people("directory.viewers", "Listing viewers", "Different people who opened a listing.", "listing_viewed")
directory.people(
    "directory.contacts",
    "People who asked",
    "Different people who asked about a listing.",
    "listing_contacted",
)
directory.counted(
    "directory.enquiries", "Enquiries", "Questions about listings.", "listing_contacted", by=("content_type", "country")
)
directory.counted("directory.listings", "New listings", "Listings made.", "listing_created")
directory.share(
    "directory.enquiry_rate",
    "Enquiry rate",
    "Of the people who opened a listing in the period, the share that asked about one in it too.",
    Share("directory.contacts", "directory.viewers"),
    in_words="persons with both events / persons with listing_viewed",
    example="4 look, 1 of them asks: 0.25",
)

trading = Family(owner="trading", by=("object_id", "properties.strategy"))
trading.counted("trading.trades", "Trades", "Positions closed; the object is the instrument.", "trade_closed")
trading.counted("trading.opened", "Positions opened", "Positions opened.", "trade_opened")
trading.people(
    "trading.traders", "Traders", "Different people who opened or closed a position.", "trade_opened", "trade_closed"
)
trading.summed(
    "trading.profit_loss",
    "Trading profit and loss",
    "Profits less losses of the positions closed, by instrument and strategy. No revenue of the platform's.",
    "trade_closed",
    example="a profit of 12.00 and a loss of 5.00: 7.00",
)
trading.counted(
    "trading.wins",
    "Winning trades",
    "Positions closed with a profit.",
    "trade_closed",
    where=(Condition("amount_base", "gt", 0),),
    example="a profit of 12.00 and a loss of 5.00: 1",
)
trading.ratio(
    "trading.win_rate",
    "Win rate",
    "The share of positions closed with a profit. A good one may still lose money: look at the profit too.",
    "trading.wins",
    "trading.trades",
    in_words="winning trades / trades",
    example="1 of 2: 0.5",
)
trading.ratio(
    "trading.mean_profit",
    "Mean profit of a trade",
    "What a closed position brings on average.",
    "trading.profit_loss",
    "trading.trades",
    in_words="profit and loss / trades",
    example="7.00 of 2 trades: 3.50",
    unit=Unit.MONEY,
)
