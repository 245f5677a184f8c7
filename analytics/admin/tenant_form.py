"""What a tenant may say of itself in the admin, field by field; the rest of its settings is the product's own note."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from analytics.models import Tenant

MOST: Final = 200
LONGEST: Final = 200


class Words(forms.CharField):
    """Words of a setting, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = _lines(super().clean(value))
        if len(lines) > MOST or any(len(line) > LONGEST for line in lines):
            raise forms.ValidationError(f"Give at most {MOST} lines of at most {LONGEST} characters.")
        return lines

    def has_changed(self, initial: Any, data: Any) -> bool:
        return sorted(initial or []) != _lines(data)


def _lines(text: Any) -> list[str]:
    return sorted({line.strip() for line in str(text or "").splitlines()} - {""})


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]
    """Fields of `SETTINGS` are kept in the tenant's settings, under their own names."""

    SETTINGS: Final = ("sensitive_fields", "internal_domains", "inactive_events", "margin_share")

    sensitive_fields = Words(
        required=False,
        help_text="Properties and traits that are encrypted for each person from now on, one a line, besides e-mail "
        "addresses, phone numbers, names and the like, which always are.",
    )
    internal_domains = Words(
        required=False,
        help_text="People whose e-mail address or id ends in @ and one of these are the team's own: no number counts "
        "their events from now on, unless it is asked for with include=internal.",
    )
    inactive_events = Words(
        required=False,
        help_text="Events that make nobody active, one a line, besides $set, $identify and the like. A change has "
        "history counted again.",
    )
    margin_share = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="The share of revenue that is left after costs, by which customers pay themselves back; empty: all.",
    )

    class Meta:
        model = Tenant
        fields = ("name", "retention_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.SETTINGS:
            self.initial[name] = self.instance.settings.get(name)

    def clean_internal_domains(self) -> list[str]:
        domains = [domain.lower().removeprefix("@") for domain in self.cleaned_data["internal_domains"]]
        wrong = [domain for domain in domains if "@" in domain or "." not in domain.strip(".")]
        if wrong:
            raise forms.ValidationError(f"{wrong[0]} is no domain; write it as in example.org")
        return domains

    def save(self, commit: bool = True) -> Any:
        said = {name: self.cleaned_data[name] for name in self.SETTINGS}
        kept = {name: value for name, value in self.instance.settings.items() if name not in said}
        self.instance.settings = kept | {name: value for name, value in said.items() if value not in ([], None)}
        return super().save(commit)
