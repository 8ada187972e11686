//! What manifests say of workloads.

use std::time::Duration;

use super::Folder;

const MANIFESTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: api-gateway }
spec:
  replicas: 3
  template:
    metadata: { labels: { app: api-gateway } }
    spec:
      containers:
        - name: main
          image: openpolicy/api-gateway:1
          ports: [{ containerPort: 9001 }]
          resources:
            requests: { memory: 256Mi, cpu: 250m }
            limits: { memory: 512Mi, cpu: 500m }
          readinessProbe: { httpGet: { path: /healthz, port: 9001 }, periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 4, initialDelaySeconds: 20 }
          envFrom: [{ configMapRef: { name: settings } }]
          env:
            - { name: DB_PASSWORD, valueFrom: { secretKeyRef: { name: s, key: k } } }
            - { name: LEVEL, value: debug }
        - name: sidecar
          image: proxy
          resources: { limits: { memory: 64Mi, cpu: 100m } }
---
apiVersion: v1
kind: Service
metadata: { name: gateway }
spec: { selector: { app: api-gateway }, ports: [{ port: 80, targetPort: 9001 }] }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: api-gateway-hpa }
spec: { scaleTargetRef: { kind: Deployment, name: api-gateway }, minReplicas: 3, maxReplicas: 10 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { LEVEL: info, MODE: production }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: postgresql }
spec:
  template:
    spec: { containers: [{ image: "postgres:15" }] }
  volumeClaimTemplates: [{ spec: { resources: { requests: { storage: 10Gi } } } }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: migrate }
spec: { template: { spec: { containers: [{ image: migrate }] } } }
"#;

#[test]
fn workloads_become_services_with_what_stands_around_them() {
    let loaded = Folder::with(
        "platform: p\nruntime: { kubernetes: { manifests: [k8s], namespace: shop } }\n",
    )
    .file("k8s/all.yaml", MANIFESTS)
    .file("k8s/README.md", "no manifest")
    .load();
    let gateway = loaded.platform.service("gateway").expect("by its Service");
    assert_eq!(gateway.name.0, "api-gateway");
    assert_eq!(gateway.replicas, Some((3, 10)), "of the autoscaler");
    assert_eq!(gateway.ports, [9001]);
    assert_eq!(
        gateway.memory.expect("a limit").to_string(),
        "576Mi",
        "both containers"
    );
    assert_eq!(
        gateway.memory_reserved.expect("a request").to_string(),
        "256Mi"
    );
    assert_eq!(gateway.cpu.expect("a limit").to_string(), "600m");
    let probe = gateway.probe.as_ref().expect("readiness");
    assert_eq!((probe.retries, probe.interval), (4, Duration::from_secs(5)));
    assert_eq!(
        gateway.environment,
        [
            ("MODE".to_owned(), Some("production".to_owned())),
            ("DB_PASSWORD".to_owned(), None),
            ("LEVEL".to_owned(), Some("debug".to_owned())),
        ]
    );
    let database = loaded.platform.service("postgresql").expect("it");
    assert!(database.is_stateful);
    assert_eq!(database.storage.expect("a claim").to_string(), "10Gi");
    assert!(loaded.platform.service("migrate").expect("it").is_one_shot);
}
