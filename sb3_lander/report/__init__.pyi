from .comparison import compare as compare
from .comparison import read_configurations as read_configurations
from .run_page import report as report
from .weather import WeatherGrid as WeatherGrid
from .weather import weather_grid as weather_grid
