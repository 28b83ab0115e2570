from .comparison import compare as compare
from .comparison import read_configurations as read_configurations
from .run_page import report as report
