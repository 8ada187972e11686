#!/usr/bin/env python3
"""Builds demo/catalog.jsonl, the embedded catalog, from recorded exchanges with a real OpenMetadata.

    python3 demo/build.py FOLDER > demo/catalog.jsonl

FOLDER holds one JSON file an exchange: {"request": {method, path, query}, "response": {status, body}},
in folders by area (sync, search, lineage, entities, quality, ...). The output is the same for the
same recordings. What was not recorded is absent. Left away on purpose: connections and every
credential, addresses of the recorded server, what the search index derives for itself, and the prose
that OpenMetadata ships (descriptions of its own classifications, tags, roles, policies, tests).
"""

import datetime
import json
import pathlib
import re
import sys

COLLECTIONS = {
    "tables": "table", "databaseSchemas": "databaseSchema", "databases": "database",
    "dashboards": "dashboard", "charts": "chart", "pipelines": "pipeline", "topics": "topic",
    "mlmodels": "mlmodel", "containers": "container", "searchIndexes": "searchIndex",
    "metrics": "metric", "glossaries": "glossary", "glossaryTerms": "glossaryTerm",
    "classifications": "classification", "tags": "tag", "domains": "domain", "users": "user",
    "teams": "team", "dataProducts": "dataProduct", "dataQuality/testSuites": "testSuite",
    "dataContracts": "dataContract",
    "services/databaseServices": "databaseService", "services/dashboardServices": "dashboardService",
    "services/messagingServices": "messagingService", "services/pipelineServices": "pipelineService",
    "services/mlmodelServices": "mlmodelService", "services/storageServices": "storageService",
    "services/searchServices": "searchService",
}

# Written into the catalog after it had been read, or seen with other rights.
LATER = {"rights", "writes", "bot-token", "search-down", "system"}

# A second copy of the example that was loaded for other recordings.
OTHER_EXAMPLE = "hz_"

# Derived by the search index, or said again elsewhere in the document.
DERIVED = {
    "fqnHash", "fqnParts", "columnNames", "columnNamesFuzzy", "fieldNames", "fieldNamesFuzzy",
    "tierSources", "tagSources", "descriptionSources", "descriptionStatus",
    "columnDescriptionStatus", "classificationTags", "glossaryTags", "customPropertiesTyped",
    "upstreamEntityRelationship", "totalVotes", "incrementalChangeDescription", "docId",
    "docUniqueId", "recognizers", "processedLineage", "personaPreferences",
}
# Never in the catalog: credentials, and lists that repeat other entities as a whole.
NEVER = {
    "href", "connection", "openMetadataServerConnection", "authenticationMechanism",
    "securityConfig", "jwtToken", "password", "owns", "follows", "inheritedRoles", "roles",
    "defaultRoles", "policies", "sslConfig", "allowImpersonation",
}
SHIPPED_LABELS = ("Tier.", "PII.", "PersonalData.", "Certification.")
SHIPPED_CLASSIFICATIONS = {"Tier", "PII", "PersonalData", "Certification"}
SHIPPED_TYPES = {"role", "policy", "testDefinition", "bot", "persona"}


def is_shipped(node, entity_type=None):
    """Whether the text of this object comes with OpenMetadata and not from the example."""
    name = str(node.get("tagFQN") or node.get("fullyQualifiedName") or "")
    return (
        name.startswith(SHIPPED_LABELS)
        or node.get("type") in SHIPPED_TYPES
        or node.get("isBot") is True
        or (entity_type or node.get("type") or node.get("entityType")) in ("classification", "team", "user")
        and (name in SHIPPED_CLASSIFICATIONS or name in ("Organization", "admin"))
        or node.get("provider") == "system"
    )


def cleaned(node, entity_type=None):
    """The same without what must not or need not be in the catalog. Empty values are absent."""
    if isinstance(node, list):
        return [cleaned(item) for item in node]
    if not isinstance(node, dict):
        return node
    shipped = is_shipped(node, entity_type)
    is_reference = "id" in node and "type" in node and entity_type is None
    result = {}
    for name in sorted(node):
        value = node[name]
        if name in NEVER or name in DERIVED:
            continue
        if name == "description" and (shipped or is_reference):
            continue
        if name == "email" and not str(value).endswith("@openpolicy.example"):
            continue
        if name == "displayName" and value == node.get("name"):
            continue
        if is_reference and name == "deleted" and value is False:
            continue
        value = cleaned(value)
        if value in (None, "", [], {}):
            continue
        result[name] = value
    return result


def edge(node):
    """One incoming edge of a search document: its pipeline as a reference."""
    kept = {name: node[name] for name in
            ("fromEntity", "toEntity", "columns", "source", "description", "sqlQuery", "sqlQueryKey",
             "createdAt", "updatedAt") if node.get(name)}
    kept = cleaned(kept)
    pipeline = node.get("pipeline")
    if isinstance(pipeline, dict):
        kept["pipeline"] = {
            "id": pipeline["id"],
            "type": node.get("pipelineEntityType") or pipeline.get("type") or "pipeline",
            "name": pipeline.get("name"),
            "fullyQualifiedName": pipeline.get("fullyQualifiedName"),
        }
    return kept


class Recordings:
    """Every exchange, in the order of the file names."""

    def __init__(self, folder):
        self.exchanges = []
        for file in sorted(pathlib.Path(folder).glob("*/*.json")):
            exchange = json.loads(file.read_text())
            if "response" not in exchange or file.parent.name in LATER:
                continue
            if exchange["response"]["status"] != 200:
                continue
            request = exchange["request"]
            path = request["path"].removeprefix("/api/v1/")
            self.exchanges.append((f"{file.parent.name}/{file.stem}", path,
                                   dict(request["query"]), exchange["response"]["body"]))
        # The recording asked for everything up to the moment of asking: what is younger came later.
        self.until = max(int(query["endTs"]) for name, _, query, _ in self.exchanges
                         if name.startswith("ingestion/") and "endTs" in query)

    def __iter__(self):
        return iter(self.exchanges)

    def body(self, name):
        return next((body for known, _, _, body in self.exchanges if known == name), None)

    def is_later(self, document):
        return (document.get("updatedAt") or document.get("timestamp") or 0) > self.until


def collection_of(path):
    """(type, is one entity) of a REST path; None for anything below an entity."""
    for collection, entity_type in COLLECTIONS.items():
        if path == collection:
            return entity_type, False
        rest = path.removeprefix(collection + "/")
        if rest != path:
            parts = rest.split("/")
            if len(parts) == 1 or (len(parts) == 2 and parts[0] == "name"):
                return entity_type, True
    return None


def candidates(recordings):
    """(precedence, type, document) of every recorded form of every entity."""
    for _, path, _, body in recordings:
        if not isinstance(body, dict):
            continue
        known = collection_of(path)
        if known:
            entity_type, is_one = known
            for document in [body] if is_one else body.get("data", []):
                if "fullyQualifiedName" in document:
                    yield 0, entity_type, document
        nodes = body.get("nodes")
        if isinstance(nodes, dict):
            for node in nodes.values():
                entity = node.get("entity", node)
                if entity.get("entityType") and entity.get("fullyQualifiedName"):
                    yield 1, entity["entityType"], entity
        hits = body.get("hits")
        if isinstance(hits, dict):
            for hit in hits.get("hits", []):
                source = hit["_source"]
                if source.get("entityType") and source.get("fullyQualifiedName"):
                    yield 2, source["entityType"], source


def richest(forms):
    """One entity out of its recorded forms: the first value of each field, columns with types."""
    merged = {}
    for form in forms:
        for name, value in form.items():
            if value in (None, "", [], {}):
                continue
            if name in ("upstreamLineage", "lineageSqlQueries", "entityType", "testCaseResult"):
                continue
            if name == "columns":
                size = lambda columns: (any("dataType" in column for column in columns), len(columns),
                                        len(json.dumps(columns)))
                if name in merged and size(merged[name]) >= size(value):
                    continue
                merged[name] = value
            else:
                merged.setdefault(name, value)
    # Search documents hold the tier apart; the REST API has it among the tags.
    tier = merged.pop("tier", None)
    if isinstance(tier, dict):
        tags = merged.get("tags", [])
        if not any(tag.get("tagFQN", "").startswith("Tier.") for tag in tags):
            merged["tags"] = tags + [tier]
    return merged


def entities(recordings):
    forms = {}
    for precedence, entity_type, document in candidates(recordings):
        name = document["fullyQualifiedName"]
        if name.startswith(OTHER_EXAMPLE) or recordings.is_later(document):
            continue
        if entity_type in ("testCase", "ingestionPipeline"):
            continue
        forms.setdefault((entity_type, name), []).append((precedence, document))
    for (entity_type, name), found in forms.items():
        newest = max(document.get("version") or 0 for _, document in found)
        current = [(precedence, -len(document), json.dumps(document, sort_keys=True), document)
                   for precedence, document in found if (document.get("version") or 0) == newest]
        ordered = [entry[3] for entry in sorted(current, key=lambda entry: entry[:3])]
        if entity_type == "user" and ordered[0].get("isBot"):
            continue
        yield "entity", name, entity_type, cleaned(richest(ordered), entity_type)


def search_documents(recordings):
    queries = {}
    for _, _, document in candidates(recordings):
        if document.get("lineageSqlQueries"):
            queries[document["fullyQualifiedName"]] = document["lineageSqlQueries"]
    for name, _, _, body in recordings:
        if not re.fullmatch(r"sync/page-\d+", name):
            continue
        for hit in body["hits"]["hits"]:
            source = dict(hit["_source"])
            upstream = [edge(node) for node in source.pop("upstreamLineage", [])]
            body_of = cleaned(source, source["entityType"])
            if upstream:
                body_of["upstreamLineage"] = upstream
            # SQL stands in the edge, or apart under the key that the edge names.
            if any("sqlQueryKey" in node for node in upstream):
                body_of["lineageSqlQueries"] = queries.get(source["fullyQualifiedName"], {})
            yield "search", source["fullyQualifiedName"], source["entityType"], body_of


def quality(recordings):
    cases, results, incidents = {}, {}, {}
    for name, path, _, body in recordings:
        if not isinstance(body, dict):
            continue
        found = []
        if path in ("dataQuality/testCases", "dataQuality/testCases/search/list"):
            found = body.get("data", [])
        elif path.startswith("dataQuality/testCases/name/"):
            found = [body]
        elif isinstance(body.get("hits"), dict):
            found = [hit["_source"] for hit in body["hits"].get("hits", [])
                     if hit["_source"].get("entityType") == "testCase"]
        for case in found:
            fqn = case.get("fullyQualifiedName", "")
            if not fqn or fqn.startswith(OTHER_EXAMPLE) or recordings.is_later(case):
                continue
            precedence = 1 if case.get("entityType") else 0
            cases.setdefault(fqn, []).append((precedence, case))
            result = case.get("testCaseResult")
            if result and result.get("timestamp", 0) <= recordings.until:
                results.setdefault(fqn, {}).setdefault(result["timestamp"], result)
        if path.startswith("dataQuality/testCases/testCaseResults/"):
            for result in body.get("data", []):
                if not result["testCaseFQN"].startswith(OTHER_EXAMPLE):
                    results.setdefault(result["testCaseFQN"], {})[result["timestamp"]] = result
        if path == "dataQuality/testCases/testCaseIncidentStatus":
            for record in body.get("data", []):
                fqn = record["testCaseReference"]["fullyQualifiedName"]
                if not fqn.startswith(OTHER_EXAMPLE) and not recordings.is_later(record):
                    incidents.setdefault(fqn, {})[record["id"]] = record
    for fqn, found in cases.items():
        newest = max(case.get("version") or 0 for _, case in found)
        ordered = sorted(((precedence, -len(case), json.dumps(case, sort_keys=True), case)
                          for precedence, case in found if (case.get("version") or 0) == newest),
                         key=lambda entry: entry[:3])
        merged = {}
        for entry in ordered:
            for field, value in entry[3].items():
                if field not in ("entityType", "table", "database", "databaseSchema", "testSuites",
                                 "testPlatforms", "service") and value not in (None, "", [], {}):
                    merged.setdefault(field, value)
        yield "test_case", fqn, "testCase", cleaned(merged, "testCase")
    for fqn, found in results.items():
        yield "test_results", fqn, None, [cleaned(found[at]) for at in sorted(found, reverse=True)]
    for fqn, found in incidents.items():
        newest_first = sorted(found.values(), key=lambda record: (-record["timestamp"], record["id"]))
        yield "incidents", fqn, None, [cleaned(record) for record in newest_first]


def ingestion(recordings):
    pipelines = {}
    for name, path, query, body in recordings:
        if path == "services/ingestionPipelines":
            for pipeline in body["data"]:
                known = pipelines.setdefault(pipeline["fullyQualifiedName"], {})
                for field, value in pipeline.items():
                    known.setdefault(field, value)
        runs = re.fullmatch(r"services/ingestionPipelines/([^/]+)/pipelineStatus", path)
        # The whole of a range; a limit or no range gives less.
        if runs and "startTs" in query and "limit" not in query:
            yield "ingestion_runs", runs[1], None, cleaned(body["data"])
        runs = re.fullmatch(r"pipelines/([^/]+)/status", path)
        if runs:
            yield "pipeline_runs", runs[1], None, cleaned(body["data"])
    for fqn, pipeline in pipelines.items():
        yield "ingestion_pipeline", fqn, "ingestionPipeline", cleaned(pipeline, "ingestionPipeline")


def of_one_table(recordings):
    name, table = "openpolicy_pg.openpolicy.core.bills", "table"
    versions = recordings.body("entities/table-versions")
    yield "versions", name, table, [cleaned(json.loads(text), table) for text in versions["versions"]]
    yield "usage", name, table, cleaned(recordings.body("usage/bills")) | {"usage": recordings.body("usage/bills")["usage"]}
    contract = recordings.body("contracts/of-entity")
    yield "contract", name, table, cleaned(contract, "dataContract")
    # Asked for and empty: there are none, which is more than not knowing.
    yield "queries", name, table, cleaned(recordings.body("entities/table-queries")["data"])
    profile = recordings.body("entities/table-profile-by-fqn")
    yield "profile", name, table, cleaned({
        "id": profile["id"], "name": profile["name"], "fullyQualifiedName": name,
        "profile": profile["profile"],
        "columns": [{"name": column["name"], "dataType": column["dataType"], "profile": column["profile"]}
                    for column in profile["columns"] if column.get("profile")],
    }, table)
    sample = recordings.body("entities/table-sampledata").get("sampleData")
    if sample:
        yield "sample_data", name, table, sample


def events(recordings):
    found = {}
    for name, path, _, body in recordings:
        if path == "events":
            for event in body["data"]:
                if not recordings.is_later(event):
                    found[event["id"]] = event
    for key, event in found.items():
        yield "event", key, event["entityType"], cleaned(
            {field: value for field, value in event.items() if field != "entity"}, "event")


def newest_time(node, until):
    if isinstance(node, dict):
        times = [value for name, value in node.items()
                 if name in ("updatedAt", "timestamp", "createdAt") and isinstance(value, int) and value <= until]
        return max(times + [newest_time(value, until) for value in node.values()], default=0)
    if isinstance(node, list):
        return max((newest_time(item, until) for item in node), default=0)
    return 0


def main():
    recordings = Recordings(sys.argv[1])
    documents = {}
    for source in (search_documents, entities, quality, ingestion, of_one_table, events):
        for kind, key, entity_type, body in source(recordings):
            documents[(kind, key, entity_type or "")] = body
    as_of = max(newest_time(body, recordings.until) for body in documents.values())
    moment = datetime.datetime.fromtimestamp(as_of // 1000, datetime.timezone.utc)
    version = recordings_version(sys.argv[1])
    write = lambda line: print(json.dumps(line, separators=(",", ":")))
    write({"as_of": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "version": version})
    for kind, key, entity_type in sorted(documents):
        line = {"kind": kind, "key": key}
        if entity_type:
            line["type"] = entity_type
        write(line | {"body": documents[(kind, key, entity_type)]})


def recordings_version(folder):
    exchange = json.loads((pathlib.Path(folder) / "system" / "version.json").read_text())
    return exchange["response"]["body"]["version"]


if __name__ == "__main__":
    main()
