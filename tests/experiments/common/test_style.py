"""What all figures share."""

import pytest
from matplotlib import pyplot as plt

from ebreplicate.experiments.common import style


@pytest.mark.parametrize(("width", "broken"), [(3, True), (12, False)])
def test_a_note_wider_than_its_figure_is_broken_into_lines(width, broken):
    """A line of 120 characters is about seven inches wide."""
    figure, _ = style.use().subplots(figsize=(width, 3))
    style.stamp(figure, "mean over seeds and ratios; " * 4 + "and more\nsecond line")
    figure.canvas.draw()
    (note,) = [text for text in figure.findobj(plt.Text) if "second line" in text.get_text()]
    drawn = note.get_window_extent()
    assert 0 <= drawn.x0 < drawn.x1 <= figure.bbox.width
    lines = drawn.height / (note.get_fontsize() * figure.dpi / 72)
    assert (lines > 3.5) == broken
    plt.close(figure)
