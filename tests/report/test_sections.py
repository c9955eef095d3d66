"""Sections: one that a user registers, and what the figures of the package hold."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import glacierbayes as gb
from glacierbayes.report import registered_sections

from ..synthetic_draws import make_draws


def speed_histogram(draws):
    """Posterior of the reference speed."""
    figure = Figure(figsize=(4, 3))
    axis = figure.subplots()
    axis.hist(draws["posterior"]["reference_speed"].values.ravel(), bins=30)
    axis.set_xlabel("reference speed [m yr$^{-1}$]")
    return figure


def medians(draws):
    return pd.DataFrame({"median": [float(draws["posterior"]["thickness_scale"].median())]}, index=["<scale>"])


@pytest.fixture
def clean():
    yield
    for name in ("speed_histogram", "medians", "nothing", "missing"):
        gb.report.unregister_section(name)


def test_a_section_of_a_user_is_in_the_report(tmp_path, clean):
    gb.report.register_section("speed_histogram", "Reference speed", "a < b", speed_histogram, before="mass_change")
    gb.report.register_section("medians", "Medians", "As a table.", medians, by_glacier=True)
    folder = gb.report.write_report(make_draws(draws=60), tmp_path / "report")
    page = (folder / "index.html").read_text()
    assert page.index("<h2>Reference speed</h2>") < page.index("<h2>Mass change</h2>") < page.index("<h2>Medians</h2>")
    assert "a &lt; b" in page and 'src="speed_histogram.png"' in page
    assert "&lt;scale&gt;" in page and (folder / "medians.csv").is_file()


def test_a_section_may_be_empty_or_unavailable(tmp_path, clean):
    def missing(draws):
        raise gb.report.SectionUnavailable("There is no <rain>.")

    gb.report.register_section("nothing", "Nothing at all", "", lambda draws: None)
    gb.report.register_section("missing", "Rain", "", missing)
    page = (gb.report.write_report(make_draws(draws=60), tmp_path / "report") / "index.html").read_text()
    assert "Nothing at all" not in page
    assert "<h2>Rain</h2>" in page and "There is no &lt;rain&gt;." in page


def test_names_of_sections_are_names_of_files():
    with pytest.raises(gb.InputError, match="letters, digits and underscores"):
        gb.report.register_section("../speed", "Speed", "", speed_histogram)
    with pytest.raises(gb.InputError, match="there is no section 'nowhere'"):
        gb.report.register_section("speed_histogram", "Speed", "", speed_histogram, before="nowhere")


@pytest.mark.parametrize(
    ("name", "axes", "label"),
    [
        ("speed_maps", 5, "x [km]"),
        ("speed_scatter", 1, "observed speed [m yr$^{-1}$]"),
        ("mass_change", 1, "mass balance [m w.e. yr$^{-1}$]"),
        ("prior_and_posterior", 8, "sliding fraction"),
        ("flow_pairs", 9, "thickness scale"),
        ("trace_and_rank", 16, "rank among all draws (0 lowest)"),
    ],
)
def test_figures_hold_their_axes_and_labels(name, axes, label, tmp_path):
    (section,) = (one for one in registered_sections() if one.name == name)
    figure = section.draw(make_draws(draws=100))
    assert len(figure.axes) == axes and label in {axis.get_xlabel() for axis in figure.axes}
    for axis in figure.axes:
        assert np.isfinite([*axis.get_xlim(), *axis.get_ylim()]).all()
        assert not axis.axison or axis.lines or axis.patches or axis.collections
    figure.savefig(tmp_path / "figure.png")
    assert matplotlib.image.imread(tmp_path / "figure.png")[..., :3].std() > 0.01  # not an empty sheet
