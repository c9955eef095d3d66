"""Creep as an unknown function of temperature, and the temperature of a glacier's ice."""

from __future__ import annotations

import jax
import numpy as np

from glacierbayes import constants, laws
from glacierbayes.errors import InputError
from glacierbayes.glacier import Glacier
from glacierbayes.priors.functions import Input, unknown_function
from glacierbayes.sites import mark_data, record_provenance

# A of ice at -25 to 0 degC is within one standard deviation of the typical one; the values of two glaciers 3 degrees
# apart correlate by 0.3 to 0.5.
TYPICAL_CREEP, CREEP_DEPARTURE = 5e-25, 1.3  # Pa-3 s-1; of the logarithm
ICE_TEMPERATURES, TEMPERATURE_LENGTH = (-25.0, 0.0), 2.2  # degC


def creep_of_temperature(family: str, lengths: str = "fixed") -> laws.TemperatureCreep:
    """Samples creep with an unknown A(T) that all glaciers share; its prior mean is constant in T.

    Args:
        family, lengths: see `unknown_function`; the function is the site "creep_departure", the log of A over
            5e-25 Pa-3 s-1.
    """
    temperature = Input("temperature", *ICE_TEMPERATURES, TEMPERATURE_LENGTH, "degC")
    name = f"log of the creep parameter over {TYPICAL_CREEP:g} Pa-3 s-1"
    departure = unknown_function("creep_departure", family, (temperature,), CREEP_DEPARTURE, name, lengths)
    return laws.TemperatureCreep(departure, TYPICAL_CREEP)


def with_temperature(glacier: Glacier) -> tuple[Glacier, float]:
    """Returns the glacier with a field "temperature" of its ice, degC: its own, or one number from its climate.

    The number is the long-term mean of the air temperature at the mean elevation of the ice, at most 0 (Bolibar et al.
    2023, doi 10.5194/gmd-16-6671-2023). The temperature within the ice differs from it and is not observed.

    Returns:
        The glacier, and the mean of the field over its ice.

    Raises:
        InputError: the glacier has neither the field nor a climate.
    """
    with jax.ensure_compile_time_eval():
        ice = np.asarray(glacier.thickness) > 0
        if "temperature" in glacier.fields:
            mean = float(np.mean(np.asarray(glacier.fields["temperature"])[ice]))
        elif glacier.climate is not None:
            rise = float(np.mean(np.asarray(glacier.surface)[ice])) - float(glacier.climate.reference_height)
            air = float(np.mean(np.asarray(glacier.climate.temperature))) + constants.LAPSE_RATE * rise
            mean = min(air, 0.0)
            record_provenance(
                "temperature", f"ice taken at {mean:.1f} degC: long-term air temperature at its mean elevation"
            )
            glacier = glacier.with_field("temperature", mean)
        else:
            raise InputError(
                "temperature law: the glacier has no temperature and no climate (climate_historical.nc) to take it "
                'from; add the file, or give Glacier(..., fields={"temperature": ...}) in degC'
            )
    mark_data("temperature", mean)
    return glacier, mean
