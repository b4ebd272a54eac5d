"""What a change of the configuration means for each profile."""

from __future__ import annotations

from assumed.config import Changes, Config, diff
from config.cases import ARN, loaded


def roles(*names: str, defaults: str = "", **own: str) -> Config:
    tables = (f'[[roles]]\nprofile = "{name}"\n{ARN}{own.get(name, "")}\n' for name in names)
    return loaded(f'[defaults]\nsource_profile = "s"\n{defaults}\n' + "".join(tables))


def test_every_profile_is_in_one_of_four() -> None:
    """Gone, new, other than before, or the same."""
    old = roles("a", "b", "c")
    new = roles("d", "c", "b", b="duration_seconds = 900")
    assert diff(old, new) == Changes(added=("d",), removed=("a",), changed=("b",), unchanged=("c",))


def test_the_order_of_roles_and_of_tags_is_no_change() -> None:
    """Nor are comments and spaces."""
    old = roles("a", "b", a='tags = { x = "1", y = "2" }')
    new = roles("b", "a", a='# moved\ntags = {  y = "2", x = "1" }')
    assert diff(old, new) == Changes((), (), (), ("b", "a"))


def test_an_inherited_value_changes_those_who_inherit_it() -> None:
    """A role with a value of its own does not notice."""
    old = roles("a", "b", b="duration_seconds = 900", defaults="duration_seconds = 1800")
    new = roles("a", "b", b="duration_seconds = 900", defaults="duration_seconds = 2700")
    assert diff(old, new) == Changes((), (), ("a",), ("b",))


def test_a_parent_that_comes_or_goes_is_a_change_of_the_child() -> None:
    """Another one signs for it now."""
    old = roles("a", a='source_profile = "p"')
    new = roles("a", "p", a='source_profile = "p"')
    assert diff(old, new) == Changes(("p",), (), ("a",), ())
    assert diff(new, old) == Changes((), ("p",), ("a",), ())


def test_a_role_that_is_disabled_has_changed() -> None:
    """It is still in the file, and no longer to be kept."""
    assert diff(roles("a"), roles("a", a="enabled = false")).changed == ("a",)
