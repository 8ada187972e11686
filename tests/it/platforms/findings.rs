//! What the linter finds in each reference platform: the contradictions of its document, none missing
//! and none that the document does not contain.

use std::fs;

use openpolicy_mcp::platform::lint::lint;

use super::{document, loaded};

/// A finding, and the lines of the document that contradict each other.
struct Expected {
    code: &'static str,
    message: &'static str,
    evidence: &'static [&'static str],
}

/// Every finding is expected, every expected one is found, and its evidence stands in the document.
fn are_exactly(file: &str, expected: &[Expected]) {
    let folder = file.split('/').next().expect(file);
    let document = fs::read_to_string(document::path_of(folder)).expect(file);
    let loaded = loaded(file);
    let mut found: Vec<String> = lint(&loaded)
        .into_iter()
        .map(|finding| {
            assert!(finding.place.line > 0, "{file}: {}", finding.message);
            format!("{}: {}", finding.code, finding.message)
        })
        .collect();
    let mut listed: Vec<String> = expected
        .iter()
        .map(|expected| format!("{}: {}", expected.code, expected.message))
        .collect();
    found.sort();
    listed.sort();
    let missing: Vec<&String> = listed.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<&String> = found.iter().filter(|line| !listed.contains(line)).collect();
    assert!(
        missing.is_empty() && new.is_empty(),
        "{file}\nnot found: {missing:#?}\nnot expected: {new:#?}"
    );
    assert_eq!(found.len(), listed.len(), "{file}");
    for expected in expected {
        // Passwords are ours; everything else is the document's.
        assert_eq!(
            expected.evidence.is_empty(),
            expected.code == "password-in-default",
            "{file}: {}",
            expected.message
        );
        for line in expected.evidence {
            assert!(
                document.contains(line),
                "{file}: the document does not say {line}"
            );
        }
    }
}

fn password(message: &'static str) -> Expected {
    Expected {
        code: "password-in-default",
        message,
        evidence: &[],
    }
}

#[test]
fn metadata() {
    are_exactly(
        "metadata/platform.yaml",
        &[
            Expected {
                code: "port-used-twice",
                message: "port 8083 is used by `etl` and `openmetadata-ingestion`: on one host only one of them can have it",
                evidence: &["   - Port: 8083\n", "   - Port: 8083 (Airflow)"],
            },
            Expected {
                code: "stated-chain-differs",
                message: "by the document's chain `redis` needs `db`, and `user-service` needs `api-gateway`; the services themselves do not say so",
                evidence: &[
                    "db -> redis -> api-gateway -> user-service",
                    "   - Purpose: Session and cache storage\n   - Dependencies: None",
                    "   - Purpose: User authentication and management\n   - Dependencies: PostgreSQL, Redis",
                ],
            },
            Expected {
                code: "stated-chain-differs",
                message: "by the document's chain `elasticsearch` needs `openmetadata-server`, and `openmetadata-ingestion` needs `elasticsearch`; the services themselves do not say so",
                evidence: &[
                    "db -> openmetadata-server -> elasticsearch -> ingestion",
                    "   - Purpose: Metadata indexing and search\n   - Dependencies: None",
                    "   - Dependencies: PostgreSQL (airflow schema), OpenMetadata Server",
                ],
            },
            Expected {
                code: "stated-chain-differs",
                message: "`etl` needs `redis`, and none of the document's chains leads from one to the other",
                evidence: &[
                    "db -> etl -> scrapers",
                    "   - Purpose: Data extraction and transformation\n   - Dependencies: PostgreSQL, Redis",
                ],
            },
            Expected {
                code: "documented-path-answers-anything",
                message: "`openmetadata-server` answers /health with its web page (HTML, status 200) whatever its health; the probe asks /api/v1/system/status",
                evidence: &["endpoint: \"http://openmetadata-server:8585/health\""],
            },
            Expected {
                code: "documented-path-unknown",
                message: "/cluster/health is no path of a search engine; the probe of `elasticsearch` asks /_cluster/health",
                evidence: &["`/cluster/health` endpoint"],
            },
            Expected {
                code: "stated-service-differs",
                message: "in another place (\"Useful Commands, Health Checks\") the document states /_cluster/health as `documented_path` of `elasticsearch`; here it is /cluster/health",
                evidence: &[
                    "`/cluster/health` endpoint",
                    "curl http://localhost:9200/_cluster/health",
                ],
            },
            Expected {
                code: "stated-start-misses",
                message: "the document's command (\"docker-compose up -d etl\") does not start `legacy-scrapers` of phase `data`",
                evidence: &["# Start ETL and scrapers\ndocker-compose up -d etl\n"],
            },
            Expected {
                code: "stated-start-early",
                message: "in phase `metadata` the document (\"docker-compose --profile openmetadata up -d\") starts `admin-ui` and `web-ui`, deployed only later",
                evidence: &[
                    "docker-compose --profile openmetadata up -d\n",
                    "docker-compose up -d admin-ui web-ui",
                ],
            },
            password("the default of a variable holds a password of `db`: for development only"),
        ],
    );
}

#[test]
fn kubernetes() {
    are_exactly(
        "kubernetes/platform.yaml",
        &[
            Expected {
                code: "port-used-twice",
                message: "port 9001 is used by `api-gateway` and `policy-service`: on one host only one of them can have it",
                evidence: &["| API Gateway | 9001 |", "| Policy Service | 9001 |"],
            },
            Expected {
                code: "stated-services-differ",
                message: "the document states 25 services (\"25 microservices operational\"); the platform lists 24",
                // The 24 rows are counted where the matrix is compared.
                evidence: &["25 microservices operational", "25/25 Operational"],
            },
            Expected {
                code: "stated-compliance-differs",
                message: "the document states 96% compliant (\"Compliance Rate: 96%\"); by the standards of the file it is 24/24 (100%)",
                evidence: &["**Compliance Rate**: 96%"],
            },
            password(
                "the default of a variable holds a password of `postgresql`: for development only",
            ),
            password(
                "the default of a variable holds a password of `rabbitmq`: for development only",
            ),
        ],
    );
}

#[test]
fn both_environments() {
    for file in ["environments/platform.yaml", "environments/production.yaml"] {
        are_exactly(
            file,
            &[
                Expected {
                    code: "stated-services-differ",
                    message: "the document states 25 services (\"Validate all 25 services\"); the platform lists 16",
                    evidence: &["24/25 services compliant", "25/25 Operational"],
                },
                Expected {
                    code: "stated-compliance-differs",
                    message: "the document states 24/25 compliant (\"96% (24/25 services compliant)\"); by the standards of the file it is 16/16 (100%)",
                    evidence: &["96% (24/25 services compliant)"],
                },
                Expected {
                    code: "in-no-phase",
                    message: "`api-gateway` is in no phase: no run deploys it",
                    evidence: &[
                        "| **API Layer** | API Gateway, Error Reporting |",
                        "# Deploy core services first",
                    ],
                },
                Expected {
                    code: "in-no-phase",
                    message: "`error-reporting-service` is in no phase: no run deploys it",
                    evidence: &["| **API Layer** | API Gateway, Error Reporting |"],
                },
                password(
                    "the default of a variable holds a password of `postgresql`: for development only",
                ),
            ],
        );
    }
}

#[test]
fn v4() {
    const TEMPLATE: &[&str] = &[
        "# Standard health check for all services",
        "http://localhost:${PORT}/health",
    ];
    let other_path = |message| Expected {
        code: "documented-path-differs",
        message,
        evidence: TEMPLATE,
    };
    are_exactly(
        "v4/platform.yaml",
        &[
            Expected {
                code: "stated-services-differ",
                message: "the document states 37 services (\"Total Services: 37+\"); the platform lists 32",
                evidence: &["**Total Services**: 37+", "| **5** | 32 |"],
            },
            Expected {
                code: "stated-services-differ",
                message: "the document states 10 services (\"Short-term - 10 services\"); phase `business-services` lists 5",
                evidence: &[
                    "(Short-term - 10 services)",
                    "6. **`auth-service`**",
                    "10. **`monitoring-service`**",
                ],
            },
            Expected {
                code: "stated-watch-early",
                message: "in phase `data-analytics` the document looks at `elasticsearch`, deployed only later",
                evidence: &[
                    "grep -E \"(etl-service|analytics-service|elasticsearch)\"",
                    "29. **`elasticsearch`**",
                ],
            },
            other_path(
                "the document looks at /health of `postgres`; the probe (postgres) asks nothing over HTTP",
            ),
            other_path(
                "the document looks at /health of `redis`; the probe (redis) asks nothing over HTTP",
            ),
            other_path(
                "the document looks at /health of `scraper-runner`; the probe (process) asks nothing over HTTP",
            ),
            other_path("the document looks at /health of `prometheus`, the probe at /-/healthy"),
            other_path("the document looks at /health of `grafana`, the probe at /api/health"),
            other_path("the document looks at /health of `logstash`, the probe at /"),
            other_path("the document looks at /health of `kibana`, the probe at /api/status"),
            other_path(
                "the document looks at /health of `fluentd`; the probe (tcp) asks nothing over HTTP",
            ),
            Expected {
                code: "documented-path-unknown",
                message: "/health is no path of a search engine; the probe of `elasticsearch` asks /_cluster/health",
                evidence: TEMPLATE,
            },
            password(
                "the default of a variable holds a password of `postgres`: for development only",
            ),
        ],
    );
}

#[test]
fn planned() {
    let gate = |message, evidence| Expected {
        code: "gate-cannot-fail",
        message,
        evidence,
    };
    are_exactly(
        "planned/platform.yaml",
        &[
            Expected {
                code: "port-used-twice",
                message: "port 9015 is used by `database-service` and `op-import`: on one host only one of them can have it",
                evidence: &[
                    "| **database-service** | 128Mi | 50m | 9015 |",
                    "| **op-import** | 128Mi | 100m | 9015 |",
                ],
            },
            Expected {
                code: "port-used-twice",
                message: "port 9016 is used by `scraper-service` and `cache-service`: on one host only one of them can have it",
                evidence: &[
                    "| **scraper-service** | 1Gi | 500m | 9016 |",
                    "| **cache-service** | 128Mi | 50m | 9016 |",
                ],
            },
            Expected {
                code: "stated-total-differs",
                message: "the document states 1.15Gi memory (\"Total Phase 2 Resources\"); the limits of phase `core-business` add up to 1.125Gi",
                evidence: &[
                    "**Total Phase 2 Resources**: 1.15Gi Memory",
                    "Optimized (128Mi memory each)",
                ],
            },
            Expected {
                code: "stated-share-differs",
                message: "the document states 45% of memory in use (\"Target State: target 45%\"); the limits of the platform make it 71.9%",
                evidence: &["(target: 45%)", "**72% Memory, 17% CPU**"],
            },
            Expected {
                code: "stated-share-differs",
                message: "the document states <50% of memory in use (\"Target State: Memory Usage <50%\"); the limits of the platform make it 71.9%",
                evidence: &["**Memory Usage**: <50%", "**72% Memory, 17% CPU**"],
            },
            Expected {
                code: "stated-duration-differs",
                message: "the document states 60 to 90 minutes in all (\"Expected Duration for complete deployment\"); the phases add up to 70 to 95 minutes",
                evidence: &[
                    "60-90 minutes for complete deployment",
                    "15-20 minutes",
                    "20-25 minutes",
                    "10-15 minutes",
                ],
            },
            Expected {
                code: "cycle-through-all",
                message: "`api-gateway` needs all services, and `web`, `admin` and `mobile-api` need it: a circle; 'all' is taken as the services of earlier phases",
                evidence: &[
                    "| 9001 | All services |",
                    "| 3000 | api-gateway |",
                    "| 3001 | api-gateway |",
                    "| 8000 | api-gateway |",
                ],
            },
            Expected {
                code: "dependency-in-later-phase",
                message: "`api-gateway` of phase `user-interface` needs all services, and `cache-service`, `web`, `admin` and `mobile-api` come in a later phase",
                evidence: &["| 9001 | All services |", "Phase 5: Utility Services"],
            },
            gate(
                "`memory` below 40% in the gate of phase `infrastructure` cannot fail: the limits add up to 37.5%",
                &["resource usage <40%", "3Gi Memory", "8Gi Memory"],
            ),
            gate(
                "`memory` below 60% in the gate of phase `core-business` cannot fail: the limits add up to 51.6%",
                &["resource usage <60%"],
            ),
            gate(
                "`memory` below 70% in the gate of phase `operational` cannot fail: the limits add up to 60.9%",
                &["resource usage <70%"],
            ),
            gate(
                "`memory` below 75% in the gate of phase `user-interface` cannot fail: the limits add up to 65.6%",
                &["resource usage <75%"],
            ),
            gate(
                "`memory` below 80% in the gate of phase `utility` cannot fail: the limits add up to 71.9%",
                &["resource usage <80%"],
            ),
            Expected {
                code: "trigger-cannot-fire",
                message: "the trigger on memory above 85% cannot fire: the limits of all services add up to 71.9%",
                evidence: &[">85% memory usage", "**72% Memory, 17% CPU**"],
            },
            Expected {
                code: "trigger-of-one-service",
                message: "one unhealthy service alone is above 20% and rolls back in phase `infrastructure` (1 of 4 is 25%)",
                evidence: &[">20% of services unhealthy", "4 critical services"],
            },
            password(
                "the default of a variable holds a password of `postgresql`: for development only",
            ),
            password(
                "the default of a variable holds a password of `rabbitmq`: for development only",
            ),
        ],
    );
}

/// A document contradicts itself in the same way wherever it runs.
#[test]
fn on_a_cluster_they_are_the_same() {
    for folder in ["kubernetes", "environments", "planned"] {
        let of = |file: &str| {
            let mut found: Vec<String> = lint(&loaded(&format!("{folder}/{file}")))
                .into_iter()
                // Passwords are secrets there, and each service has an address of its own.
                .filter(|finding| {
                    !["password-in-default", "port-used-twice"].contains(&finding.code)
                })
                .map(|finding| format!("{}: {}", finding.code, finding.message))
                .collect();
            found.sort();
            found
        };
        assert_eq!(of("cluster.yaml"), of("platform.yaml"), "{folder}");
    }
}
