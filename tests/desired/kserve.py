"""A model that KServe runs, for tests."""

from __future__ import annotations

from tests.desired.builders import DIGEST

KSERVE_MODEL = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud-detector, labels: {{team: risk}}}}
spec:
  owner: team-risk
  versions:
  - name: v3
    artifact: oci://registry.example.com/models/fraud@{DIGEST}
  - name: v4
    artifact: oci://registry.example.com/models/fraud@{DIGEST.replace("ab", "cd")}
  - name: v5
    artifact: oci://registry.example.com/models/fraud@{DIGEST.replace("ab", "ef")}
  serving:
    runtime: kserve
    replicas: 3
    container:
      image: registry.example.com/serve@{DIGEST}
      port: 8000
      env: {{LOG_LEVEL: info}}
"""

KSERVE_ROLLOUT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: fraud-detector}
spec:
  model: fraud-detector
  version: v3
  namespace: team-risk
  waves: [{clusters: {fleet: acme}}]
  strategy: {canary: {steps: [{weight: 5%}, {weight: 25%}, {weight: 100%}]}}
"""
