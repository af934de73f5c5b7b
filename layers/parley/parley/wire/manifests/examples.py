"""An example manifest of each kind, as `example-manifest` answers it."""

from typing import Any

from parley.core.manifest import ManifestKind
from parley.wire.manifests.reading import from_yaml

EXAMPLES = {
    ManifestKind.ACCOUNT: """\
apiVersion: smarter.sh/v1
kind: Account
metadata:
  name: example
  description: The account that everything else belongs to
spec:
  # accountNumber: may be given; it must be your own
  companyName: Example Ltd.
""",
    ManifestKind.USER: """\
apiVersion: smarter.sh/v1
kind: User
metadata:
  name: jo               # the user id that keys have
  description: Writes the course catalogue
spec:
  config:
    email: jo@example.com
    firstName: Jo
    lastName: Doe
""",
    ManifestKind.API_KEY: """\
apiVersion: smarter.sh/v1
kind: ApiKey
metadata:
  name: website
  description: null
spec:
  role: client           # admin, user, or client: that may only chat
  llmClient: example     # with this one
""",
    ManifestKind.LLM_CLIENT: """\
apiVersion: smarter.sh/v1
kind: LLMClient
metadata:
  name: example          # https://example.{account}.api.{domain}/
  description: Answers questions about this and that
  version: 0.1.0
  tags: [demo]
  annotations:
    - example.com/owner: docs team
spec:
  config:
    deployed: true
    # provider: openai   # with a Secret of the same name; without it the account's own models
    # defaultModel: gpt-4o-mini
    defaultSystemRole: You are a friendly assistant. Keep answers short.
    defaultTemperature: 0.5
    defaultMaxTokens: 1024
    appName: Example
    appAssistant: Ada
    appWelcomeMessage: Hello! Ask me anything.
    appExamplePrompts:
      - What can you do?
    appPlaceholder: Ask me…
  # plugins: [catalogue] # Plugins of the account
  functions: [calculator, date_calculator]
  apiKey: null           # an ApiKey closes it to everybody without a key
  allowedOrigins:        # sites whose pages may call it
    - https://www.example.com
  limits:
    sessionTurnsPerMinute: 20
    openTurn: refuse
""",
    ManifestKind.PLUGIN: """\
apiVersion: smarter.sh/v1
kind: Plugin
metadata:
  name: catalogue
  description: What the shop sells
  pluginClass: static
spec:
  selector:
    directive: search_terms   # or always, or llm: the model chooses
    searchTerms: [price, buy]
  prompt:
    systemRole: Prices are in the catalogue. Look there before you name one.
  data:
    description: The catalogue of the shop
    staticData:
      tea:
        price: 4.50
      coffee:
        price: 6.90
""",
    ManifestKind.PROVIDER: """\
apiVersion: smarter.sh/v1
kind: Provider
metadata:
  name: acme
  description: Speaks the API of OpenAI
spec:
  provider:
    base_url: https://llm.example.com/v1
    # api_key: acme      # the name of a Secret, never the key
    default_model: acme-large
""",
    ManifestKind.SECRET: """\
apiVersion: smarter.sh/v1
kind: Secret
metadata:
  name: acme
  description: Key of the provider acme
spec:
  config:
    value: put-the-key-here   # kept encrypted; it is never shown again
    expiration_date: 2030-12-31
""",
    ManifestKind.MODEL: """\
apiVersion: smarter.sh/v1
kind: Model
metadata:
  name: small            # the id that prompts say
  description: null
spec:
  baseUrl: https://llm.example.com/v1
  providerModel: acme-small
  # secret: acme         # the name of a Secret, never the key
  context:
    turns: 20
    tokens: 8000
  # default: true        # answers what names no model, in the place of the one that did
""",
}


def example(kind: ManifestKind) -> tuple[str, dict[str, Any]]:
    """The example as YAML with remarks, and what it says."""
    text = EXAMPLES[kind]
    return text, from_yaml(text)[0]
