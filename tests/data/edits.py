"""Edits of `gridded_data.nc` and `climate_historical.nc` that make them wrong, as functions of a Dataset."""

import numpy as np


def setting(name, change):
    """Replaces a variable by a function of its values."""

    def edit(data):
        data[name].values[...] = change(data[name].values.copy())

    return edit


def put(value, *where):
    def change(values):
        values[where] = value
        return values

    return change


def units(name, text):
    def edit(data):
        data[name].attrs["units"] = text

    return edit


def without(name):
    return lambda data: data.drop_vars(name)


def one_cell(values):
    return put(1, slice(12, 13), slice(12, 13))(np.zeros_like(values))


def uneven(data):
    x = data.x.values.astype(float)
    x[10:] += 20.0
    return data.assign_coords(x=("x", x, data.x.attrs))


def shifted(data):
    return data.assign_coords(x=("x", data.x.values + np.float32(100.0), data.x.attrs))


def first_row(data):
    return data.isel(y=slice(1, None))
