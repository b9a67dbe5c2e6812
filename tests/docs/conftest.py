"""Tests that run documentation take minutes: they are left out unless -m names their marker (`make docs-test`)."""


def pytest_collection_modifyitems(config, items):
    """Leave the tests marked docs out of a run that does not name the marker."""
    if "docs" in (config.option.markexpr or ""):
        return
    left = [item for item in items if item.get_closest_marker("docs")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)
