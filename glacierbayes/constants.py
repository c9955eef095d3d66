"""Physical constants: value, unit and source of every one.

The unit system of the whole package: metre, year (365.25 d), degree Celsius, Pa; flow laws are
stated in SI (seconds) and converted once, in `glacierbayes.solvers.simulate`.
"""

ICE_DENSITY = 900.0  # kg m-3, glacier ice with some air in it; OGGM's value (oggm/params.cfg)
WATER_DENSITY = 1000.0  # kg m-3, turns kg m-2 into m w.e.
GRAVITY = 9.81  # m s-2
DAYS_PER_YEAR = 365.25  # d, Julian year
SECONDS_PER_YEAR = DAYS_PER_YEAR * 86400.0  # s
CREEP_PARAMETER = 2.4e-24  # Pa-3 s-1 at 0 degC; Cuffey and Paterson 2010, Table 3.4

# OGGM's temperature index model (oggm/params.cfg, MonthlyTIModel)
LAPSE_RATE = -0.0065  # degC m-1
TEMPERATURE_ALL_SNOW = 0.0  # degC, below it all precipitation is snow
TEMPERATURE_ALL_RAIN = 2.0  # degC, above it all precipitation is rain; linear in between
TEMPERATURE_MELT = -1.0  # degC, monthly mean above which there is melt
DAYS_PER_MONTH = 365.0 / 12.0  # d, the month that OGGM's melt factor is multiplied by

# Volume to mass of a geodetic balance: Huss 2013, doi 10.5194/tc-7-877-2013
VOLUME_CHANGE_DENSITY = 850.0  # kg m-3
VOLUME_CHANGE_DENSITY_SIGMA = 60.0  # kg m-3
