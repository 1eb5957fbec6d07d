{{- define "kubestudy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* A release may be called a.b, a Service may not. */}}
{{- define "kubestudy.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "kubestudy.name" .) -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains (include "kubestudy.name" .) .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- $name | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kubestudy.selector" -}}
app.kubernetes.io/name: {{ include "kubestudy.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "kubestudy.labels" -}}
{{ include "kubestudy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The labels of an object with those that a value adds; of two alike the value's. Takes a list: the root, the value. */}}
{{- define "kubestudy.labelsWith" -}}
{{- $own := include "kubestudy.labels" (first .) | fromYaml -}}
{{- toYaml (merge (deepCopy (last .)) $own) -}}
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

{{/* Whether the histories are on a database server: a SQLite file is on the volume, as journals are. */}}
{{- define "kubestudy.database" -}}
{{- if or .Values.storage.urlSecret.name (and .Values.storage.url (not (hasPrefix "sqlite" .Values.storage.url))) -}}true{{- end -}}
{{- end -}}

{{/* What the operator calls in each namespace that it looks after. */}}
{{- define "kubestudy.rules" -}}
- {apiGroups: [kubestudy.dev], resources: [hyperparameterstudies], verbs: [list, watch]}
- {apiGroups: [kubestudy.dev], resources: [hyperparameterstudies/status], verbs: [patch]}
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, patch, watch]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [events], verbs: [create, list]}
- {apiGroups: [resource.k8s.io], resources: [resourceclaims, resourceclaimtemplates], verbs: [get]}
{{- end -}}

{{/* Its uid is the cluster's identity. */}}
{{- define "kubestudy.identity" -}}
{apiGroups: [""], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}
{{- end -}}

{{- define "kubestudy.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The storage, as the operator and Optuna Dashboard are told of it. */}}
{{- define "kubestudy.storage" -}}
{{- if .Values.storage.urlSecret.name -}}
- name: KUBESTUDY_STORAGE
  valueFrom: {secretKeyRef: {name: {{ .Values.storage.urlSecret.name | quote }}, key: {{ .Values.storage.urlSecret.key | quote }}}}
{{- else -}}
- {name: KUBESTUDY_STORAGE, value: {{ default "/var/lib/kubestudy" .Values.storage.url | quote }}}
{{- end -}}
{{- end -}}

{{/* Optuna Dashboard's container, but for its mounts. */}}
{{- define "kubestudy.dashboard" -}}
name: optuna-dashboard
image: {{ include "kubestudy.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [dashboard, --host=0.0.0.0, --port=8081]
env:
{{ include "kubestudy.storage" . }}
ports:
- {name: optuna, containerPort: 8081}
resources: {{- toYaml .Values.optunaDashboard.resources | nindent 2 }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "kubestudy.dashboardName" -}}
{{- printf "%s-optuna-dashboard" (include "kubestudy.fullname" . | trunc 46 | trimSuffix "-") -}}
{{- end -}}

{{/* What a pod's service account is mounted as where that is not left to Kubernetes: a token for the API server, its authorities, the namespace. */}}
{{- define "kubestudy.accountVolume" -}}
- name: kube-api-access
  projected:
    sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}

{{/* Where pods may run. */}}
{{- define "kubestudy.placement" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
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
app.kubernetes.io/name: {{ include "kubestudy.dashboardName" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- else -}}
{{ include "kubestudy.selector" . }}
{{- end -}}
{{- end -}}

{{/* Shares of a GPU as JSON, names before patterns: the operator takes the first that fits. */}}
{{- define "kubestudy.gpuResources" -}}
{{- $names := list -}}
{{- $patterns := list -}}
{{- range $name, $share := . -}}
{{- $pair := printf "%s:%s" (toJson $name) (toJson $share) -}}
{{- if regexMatch "[*?[]" $name -}}{{- $patterns = append $patterns $pair -}}{{- else -}}{{- $names = append $names $pair -}}{{- end -}}
{{- end -}}
{{- printf "{%s}" (join "," (concat $names $patterns)) -}}
{{- end -}}
