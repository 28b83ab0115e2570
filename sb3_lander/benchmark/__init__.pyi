from .recipes import Measurement as Measurement
from .recipes import Recipe as Recipe
from .runner import load_recipes as load_recipes
from .runner import run as run
from .runner import summary as summary
from .runner import table as table
from .training import train as train
