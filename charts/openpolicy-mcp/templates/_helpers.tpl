{{- define "openpolicy-mcp.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "openpolicy-mcp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "openpolicy-mcp.labels" -}}
{{ include "openpolicy-mcp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "openpolicy-mcp.account" -}}
{{ .Values.serviceAccount.name | default (include "openpolicy-mcp.name" .) }}
{{- end }}

{{- define "openpolicy-mcp.namespace" -}}
{{ .Values.platform.namespace | default .Release.Namespace }}
{{- end }}

{{/* What cannot be: told when it is rendered, not when a pod ends again and again. */}}
{{- define "openpolicy-mcp.check" -}}
{{- if and (gt (int .Values.replicas) 1) .Values.platform.configMap }}
{{- fail "replicas: several servers cannot share a journal; one replica where there is a platform" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) .Values.http.sessions }}
{{- fail "http.sessions: a session is kept by one server; one replica with sessions" }}
{{- end }}
{{- if and (ne .Values.access "none") (not .Values.platform.configMap) }}
{{- fail "access: nothing to look at without platform.configMap" }}
{{- end }}
{{- end }}
