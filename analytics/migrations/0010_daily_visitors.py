"""Which subjects are visitors of one day. The default is the table's own, so that no row is written anew and writers of
the release before go on; the indexes are of those few rows alone, and only the reading of the others takes time."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bellwether_analytics", "0009_statistics")]

    operations = [
        migrations.AddField(
            "Subject",
            "is_daily",
            models.BooleanField(
                db_default=False, default=False, help_text="of a visitor without a cookie: the id holds for one UTC day"
            ),
        ),
        migrations.AddIndex(
            "Subject",
            models.Index(condition=models.Q(("is_daily", True)), fields=["tenant", "id"], name="bw_subject_daily"),
        ),
        migrations.AddIndex(
            "Subject",
            models.Index(
                condition=models.Q(("is_daily", True), ("is_identified", True)),
                fields=["tenant", "id"],
                name="bw_subject_daily_known",
            ),
        ),
    ]
