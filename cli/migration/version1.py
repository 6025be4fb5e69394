"""A document of version 1 (`llm_providers`, `default_models`, `routing`) as one of version 2. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from bus.configuration import BadConfiguration
from cli.migration.environment import VARIABLES, NothingToMigrate, from_environment, ollama_url
from cli.migration.optimisation import fields_of, prompt_cache
from cli.migration.outcome import Left, Migrated
from contracts.config import REFERENCE

NO_SETTING = "Headrace has no such setting"
PROVIDER_FIELDS = ("id", "type", "provider_type", "base_url", "api_key", "priority", "timeout_secs", "models")
MODEL_FIELDS = ("model_id", "task", "context_window", "dimension", "supports_vision", "supports_audio", "supports_function_calling")
CAPABILITIES = {"supports_vision": "vision", "supports_audio": "audio", "supports_function_calling": "tools"}
ROUTES = {"embedding": "embedding", "chat_fast": "small", "chat_smart": "smart", "chat_vision": "vision"}
"""Which route takes the place of which default model."""
TASKS = {"embedding": ("embedding",), "chat_fast": ("chat_small",), "chat_smart": ("chat_smart", "chat_large"), "chat_vision": ("vision",)}
WHY_LEFT = {
    "max_cost_per_request": "each request says its own limit: 'max_cost_usd'",
    "circuit_breaker": "providers that fail are left aside by their health checks, which need no setting",
    "require_vision_for_images": "it always holds: a request with an image goes to models that see",
    "vision_capabilities": "what is too large is refused by the bus or the provider, with the limit named",
}
Document = Mapping[str, Any]


def from_version_1(document: Document) -> Migrated:
    """Raises BadConfiguration where the document is not one of version 1 either."""
    done = Migrated({"version": 2})
    rest = {key: value for key, value in document.items() if key != "version"}
    entries = rest.pop("llm_providers", None)
    if entries is None:
        return _flat(rest, done)
    if not isinstance(entries, list) or not entries:
        raise BadConfiguration(["llm_providers: a list with at least one provider is needed"])
    in_order = sorted(enumerate(entries), key=lambda pair: (_priority(pair[1], f"llm_providers.{pair[0]}"), pair[0]))
    defaults, routing = _mapping(rest.pop("default_models", {}), "default_models"), _mapping(rest.pop("routing", {}), "routing")
    nested = _mapping(rest.pop("optimization", {}), "optimization")
    shared = fields_of(rest) | fields_of(nested)
    prompt_cache(shared, "", done.left)  # said once, not for each provider
    done.document["providers"] = [_provider(entry, f"llm_providers.{index}", shared, done) for index, entry in in_order]
    done.document["routes"] = _routes([entry for _, entry in in_order], defaults, routing.get("auto_fallback", True) is not False, done)
    done.left += [Left(f"routing.{key}", WHY_LEFT.get(key, NO_SETTING)) for key in routing if key != "auto_fallback"]
    done.left += [Left(f"optimization.{key}", NO_SETTING) for key in nested if key not in {spelled for spelled, _ in shared.values()}]
    done.left += [Left(key, NO_SETTING) for key in rest if key not in {spelled for spelled, _ in shared.values()}]
    return done


def _flat(rest: dict[str, Any], done: Migrated) -> Migrated:
    """The variables' names as keys of a file, in either case."""
    named = {key.upper(): str(value) for key, value in rest.items() if key.upper() in VARIABLES and value is not None}
    shared = fields_of(rest)
    try:
        found = from_environment(named)
    except NothingToMigrate as error:
        raise BadConfiguration([f"neither llm_providers nor models of version 1: {error}"]) from error
    found.document["providers"][0]["prompt_cache"] = prompt_cache(shared, "", done.left)
    known = {*VARIABLES, *(spelled.upper() for spelled, _ in shared.values())}
    found.left += done.left + [Left(key, NO_SETTING) for key in rest if key.upper() not in known]
    return found


def _provider(entry: Document, path: str, shared: Mapping[str, tuple[str, Any]], done: Migrated) -> dict[str, Any]:
    type_name = entry.get("provider_type", entry.get("type"))
    own = fields_of(entry)
    provider: dict[str, Any] = {"id": entry.get("id"), "type": type_name}
    if entry.get("base_url") is not None:
        provider["base_url"] = ollama_url(entry["base_url"]) if type_name == "ollama" else entry["base_url"]
    if entry.get("api_key"):
        provider["api_key"] = _reference(entry, path, done)
    provider["timeout_s"] = entry.get("timeout_secs", 120)
    provider["prompt_cache"] = prompt_cache({**shared, **own}, "", [])
    prompt_cache(own, f"{path}.", done.left)
    provider["models"] = _models(entry, path, done)
    spelled = {key for key, _ in own.values()}
    done.left += [Left(f"{path}.{key}", NO_SETTING) for key in entry if key not in PROVIDER_FIELDS and key not in spelled]
    return provider


def _reference(entry: Document, path: str, done: Migrated) -> str:
    """A literal key stays behind in the old file; the new one names a variable."""
    key = str(entry["api_key"])
    if REFERENCE.match(key):
        return key
    name = f"{entry.get('id')}_API_KEY".upper().replace("-", "_")
    name = f"_{name}" if name[0].isdigit() else name
    done.to_do.append(f"{path}.api_key was a literal key: put it into {name} (or a file that {name}_FILE names) where the adapters run")
    return f"${{{name}}}"


def _models(entry: Document, path: str, done: Migrated) -> list[dict[str, Any]]:
    """Version 1 listed a model once for each task."""
    models: dict[str, dict[str, Any]] = {}
    for index, old in enumerate(_entries(entry.get("models"), f"{path}.models")):
        model = models.setdefault(str(old.get("model_id")), {"id": old.get("model_id")})
        if old.get("task") and old["task"] not in model.setdefault("tasks", []):
            model["tasks"].append(old["task"])
        for name, wanted in (("context_window", "context_window"), ("dimension", "dimensions")):
            if old.get(name) is not None:
                model[wanted] = old[name]
        can = {capability: bool(old[name]) for name, capability in CAPABILITIES.items() if old.get(name) is not None}
        if can:
            model["capabilities"] = model.get("capabilities", {}) | can
        done.left += [Left(f"{path}.models.{index}.{key}", WHY_LEFT.get(key, NO_SETTING)) for key in old if key not in MODEL_FIELDS]
    return list(models.values())


def _routes(entries: list[Document], defaults: Document, fall_back: bool, done: Migrated) -> dict[str, Any]:
    """One for each default model: it, then (with auto_fallback) what else does the task, by priority."""
    routes: dict[str, Any] = {}
    for name, model in defaults.items():
        if name not in ROUTES:
            done.left.append(Left(f"default_models.{name}", NO_SETTING))
        elif model is not None:
            first = next((f"{entry.get('id')}/{model}" for entry in entries if model in {old.get("model_id") for old in entry["models"]}), None)
            if first is None:
                raise BadConfiguration([f"default_models.{name}: {model!r} is no model of any provider; list it there or remove the default"])
            others = [other for other in _able(entries, TASKS[name]) if other != first] if fall_back else []
            routes[ROUTES[name]] = {"candidates": [first, *others]}
    usual = routes.get("smart") or routes.get("small")
    return {"default": {"candidates": list(usual["candidates"])}, **routes} if usual else routes


def _able(entries: list[Document], tasks: tuple[str, ...]) -> list[str]:
    found = [f"{entry.get('id')}/{old.get('model_id')}" for entry in entries for old in entry["models"] if old.get("task") in tasks]
    return list(dict.fromkeys(found))


def _priority(entry: Any, path: str) -> int:
    """1 is first."""
    priority = _mapping(entry, path).get("priority", 100)
    if not isinstance(priority, int):
        raise BadConfiguration([f"{path}.priority: {priority!r} is no whole number"])
    return priority


def _entries(value: Any, path: str) -> Iterator[Document]:
    if not isinstance(value, list):
        raise BadConfiguration([f"{path}: a list of models is needed"])
    return (_mapping(one, f"{path}.{index}") for index, one in enumerate(value))


def _mapping(value: Any, path: str) -> Document:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfiguration([f"{path}: a mapping is needed, not a {type(value).__name__}"])
    return value
