"""What a snapshot of customers was made from."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bellwether_insights", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="customersnapshot",
            name="starts_at",
            field=models.DateTimeField(help_text="the first moment of the history that was looked at", null=True),
        ),
        migrations.AddField(
            model_name="customersnapshot",
            name="zone",
            field=models.CharField(blank=True, default="", help_text="whose days were taken", max_length=64),
        ),
        migrations.AddField(
            model_name="customersnapshot",
            name="definition_version",
            field=models.CharField(blank=True, default="", max_length=40),
        ),
        migrations.AddField(
            model_name="customersnapshot",
            name="executor",
            field=models.CharField(blank=True, default="", help_text="what read the sales", max_length=40),
        ),
    ]
