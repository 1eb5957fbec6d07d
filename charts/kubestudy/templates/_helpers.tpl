{{- define "kubestudy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kubestudy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "kubestudy.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "kubestudy.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kubestudy.selector" -}}
app.kubernetes.io/name: {{ include "kubestudy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kubestudy.labels" -}}
{{ include "kubestudy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "kubestudy.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kubestudy.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kubestudy.claim" -}}
{{- default (include "kubestudy.fullname" .) .Values.storage.persistence.existingClaim -}}
{{- end -}}

{{- define "kubestudy.database" -}}
{{- if or .Values.storage.url .Values.storage.urlSecret.name -}}true{{- end -}}
{{- end -}}

{{/* What the operator calls in each namespace that it looks after. */}}
{{- define "kubestudy.rules" -}}
- {apiGroups: [kubestudy.dev], resources: [hyperparameterstudies], verbs: [list, watch]}
- {apiGroups: [kubestudy.dev], resources: [hyperparameterstudies/status], verbs: [patch]}
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, patch, watch]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [events], verbs: [create, list]}
{{- end -}}

{{- define "kubestudy.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* The storage, as the operator and Optuna Dashboard are told of it. */}}
{{- define "kubestudy.storage" -}}
{{- if .Values.storage.urlSecret.name -}}
- name: KUBESTUDY_STORAGE
  valueFrom: {secretKeyRef: {name: {{ .Values.storage.urlSecret.name }}, key: {{ .Values.storage.urlSecret.key }}}}
{{- else -}}
- {name: KUBESTUDY_STORAGE, value: {{ default "/var/lib/kubestudy" .Values.storage.url | quote }}}
{{- end -}}
{{- end -}}

{{- define "kubestudy.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "kubestudy.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Optuna Dashboard's container, but for its mounts. */}}
{{- define "kubestudy.dashboard" -}}
name: optuna-dashboard
image: {{ include "kubestudy.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [dashboard, --host=0.0.0.0, --port=8081]
env:
{{ include "kubestudy.storage" . }}
ports:
- {name: optuna, containerPort: 8081}
resources: {{- toYaml .Values.optunaDashboard.resources | nindent 2 }}
securityContext: {{- include "kubestudy.restricted" . | nindent 2 }}
{{- end -}}

{{- define "kubestudy.dashboardName" -}}
{{- printf "%s-optuna-dashboard" (include "kubestudy.fullname" . | trunc 46 | trimSuffix "-") -}}
{{- end -}}

{{/* Where pods may run. */}}
{{- define "kubestudy.placement" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The labels of the pods that serve Optuna Dashboard: the operator's own, or a Deployment's. */}}
{{- define "kubestudy.dashboardSelector" -}}
{{- if include "kubestudy.database" . -}}
app.kubernetes.io/name: {{ include "kubestudy.dashboardName" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- else -}}
{{ include "kubestudy.selector" . }}
{{- end -}}
{{- end -}}
