"""The functions that every llm_client may offer its model.

`FUNCTIONS` describes them all. `calculator` and `date_calculator` are here, pure and bounded:
no argument makes them take more than milliseconds, and what goes wrong is a result,
`[{"error": text}]`, so that the model is told. `get_current_weather` needs the network: it is
described here and done by `ports.Weather`.
"""

from parley.core.functions.calculator import calculator
from parley.core.functions.dates import date_calculator
from parley.core.functions.spec import FunctionSpec, Results, failed
from parley.core.functions.table import FUNCTIONS

__all__ = ["FUNCTIONS", "FunctionSpec", "Results", "calculator", "date_calculator", "failed"]
