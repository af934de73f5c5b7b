"""What is to be brought up: which address each part gets, and what follows from the addresses."""

import json
from dataclasses import asdict, dataclass

from local.emulator import Aws, free_port
from local.options import Options
from local.processes import StackError
from local.seed import Provider

DEVELOPMENT_MODEL = "parley-dev"


@dataclass
class Ports:
    """Ports behind the edge. Kept with the data, which has addresses in it."""

    emulator: int
    devmodel: int


@dataclass(frozen=True)
class Plan:
    """The options, and the ports behind the edge."""

    options: Options
    ports: Ports

    @property
    def aws(self) -> Aws:
        """AWS as the emulator will stand for it."""
        return Aws(f"http://127.0.0.1:{self.ports.emulator}")

    @property
    def edge(self) -> str:
        """The address that everything is called at."""
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def devmodel(self) -> str | None:
        """The development model's address; None when a real provider takes its place."""
        return None if self.options.provider else f"http://127.0.0.1:{self.ports.devmodel}"

    @property
    def provider(self) -> Provider:
        """Who answers prompts."""
        return self.options.provider or Provider(
            base_url=f"{self.devmodel}/v1", model=DEVELOPMENT_MODEL, key=""
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that follow from the addresses, the user's own last."""
        values = {
            "ApiDomain": f"api.localhost:{self.options.port}",
            "PageSocketUrl": f"ws://localhost:{self.options.port}/ws",
        }
        if self.devmodel:
            values["WeatherGeocodingUrl"] = f"{self.devmodel}/weather/v1/search"
            values["WeatherForecastUrl"] = f"{self.devmodel}/weather/v1/forecast"
        return values | self.options.parameters


def require_port(port: int) -> None:
    """StackError when something listens at the edge's port."""
    if free_port(port) != port:
        raise StackError(
            f"Port {port} of 127.0.0.1 is taken, perhaps by another local stack. "
            f"End that, or choose another: PORT={port + 10} make run"
        )


def read_ports(options: Options) -> Ports:
    """The ports behind the edge: those of the last run where they are free."""
    path = options.home / "ports.json"
    last = Ports(**json.loads(path.read_text())) if path.exists() else None
    ports = Ports(
        free_port(last.emulator if last else None), free_port(last.devmodel if last else None)
    )
    if options.keep and last and ports != last:
        raise StackError(f"The kept data needs the ports {last}, and one of them is taken.")
    path.write_text(json.dumps(asdict(ports)))
    return ports
