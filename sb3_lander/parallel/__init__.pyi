from .cluster import ClusterError as ClusterError
from .cluster import ClusterExecutor as ClusterExecutor
from .cluster import open_executor as open_executor
from .executors import ProcessExecutor as ProcessExecutor
from .executors import run as run
