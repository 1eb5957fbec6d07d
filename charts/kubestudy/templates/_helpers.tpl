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
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, watch]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [events], verbs: [create]}
{{- end -}}
