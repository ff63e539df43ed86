from icm.api import Evaluation as Evaluation
from icm.api import Result as Result
from icm.api import compare_pairs as compare_pairs
from icm.api import evaluate as evaluate
from icm.api import label as label
from icm.api import load as load
from icm.api import train_reward as train_reward

__version__: str
