"""The use case of manifests over a world's ports."""

from parley.ports import ResourceStore
from parley.usecases.clients import Clients
from parley.usecases.manifest_stores import CatalogueManifests, KeyManifests, ResourceManifests
from parley.usecases.manifests import Manifests

from tests.fakes.world import World


def manifests_of(world: World, resources: ResourceStore, clients: Clients) -> Manifests:
    """As the API's assembly makes it; `resources` may be the world's with faults."""
    return Manifests(
        ResourceManifests(resources, world.secrets, world.clock),
        CatalogueManifests(world.models),
        KeyManifests(world.keys),
        world.models,
        clients,
    )
