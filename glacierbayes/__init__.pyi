from glacierbayes import constants as constants
from glacierbayes import functions as functions
from glacierbayes import laws as laws
from glacierbayes import observations as observations
from glacierbayes import priors as priors
from glacierbayes import report as report
from glacierbayes import solvers as solvers
from glacierbayes.data.oggm import read_observations as read_observations
from glacierbayes.data.oggm import read_oggm as read_oggm
from glacierbayes.draws.check import check as check
from glacierbayes.errors import InputError as InputError
from glacierbayes.glacier import Climate as Climate
from glacierbayes.glacier import Glacier as Glacier
from glacierbayes.inference.engines.base import Draw as Draw
from glacierbayes.inference.engines.base import Engine as Engine
from glacierbayes.inference.infer import infer as infer
from glacierbayes.observations.base import Observation as Observation
from glacierbayes.observations.geodetic import GeodeticBalance as GeodeticBalance
from glacierbayes.observations.observations import Observations as Observations
from glacierbayes.observations.velocity import Velocity as Velocity
from glacierbayes.physics import mass_balance as mass_balance
from glacierbayes.solvers.gradient import value_and_gradient as value_and_gradient
from glacierbayes.solvers.gradient_check import check_gradient as check_gradient
from glacierbayes.solvers.history import History as History
from glacierbayes.solvers.simulate import simulate as simulate

__version__: str
__all__: list[str]
