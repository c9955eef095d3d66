"""The sections of the package, one a file. Each registers itself; they stand in the report in this order."""

from glacierbayes.report.sections import (  # noqa: I001 (the order of the report)
    speed_maps as speed_maps,
    speed_scatter as speed_scatter,
    mass_change as mass_change,
    observed_data as observed_data,
    prior_and_posterior as prior_and_posterior,
    flow_pairs as flow_pairs,
    unknown_functions as unknown_functions,
    trace_and_rank as trace_and_rank,
)
