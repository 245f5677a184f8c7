"""How many people a kept segment had, day by day."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bellwether_kpis", "0007_objectives")]

    operations = [
        migrations.AddField(
            model_name="peoplesegment",
            name="sizes",
            field=models.JSONField(
                default=list, help_text="[day, people] of each day it was asked, the last answer of a day"
            ),
        ),
    ]
