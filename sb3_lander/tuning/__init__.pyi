from .search import Search as Search
from .search import make_search as make_search
from .search_space import SearchSpace as SearchSpace
from .search_space import read_space as read_space
from .trials import tune as tune
