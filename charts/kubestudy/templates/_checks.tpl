{{/*
What values.schema.json cannot say, since it is about more than one value: every sentence at once, each with its value and the remedy.
Included by the Deployment, which is always rendered.
*/}}
{{- define "kubestudy.checks" -}}
{{- $said := list -}}
{{- range $part := list "naming" "storage" "replicas" "prometheus" "secrets" "others" -}}
{{- $said = concat $said (splitList "\n" (include (printf "kubestudy.checks.%s" $part) $) | compact) -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n- %s\n" (join "\n- " $said)) -}}
{{- end -}}
{{- end -}}

{{- define "kubestudy.checks.naming" -}}
{{- if not (regexMatch "^[a-z]" (include "kubestudy.fullname" .)) }}
fullnameOverride: a Service's name begins with a letter, and {{ include "kubestudy.fullname" . }} does not: set it, or give the release another name
{{- end }}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey $.Values.podLabels . }}
podLabels: {{ . }} is what the chart finds its pods by: leave it out
{{- end }}
{{- end }}
{{- if eq (int .Values.service.port) 8082 }}
service.port: 8082 is the port of histories: choose another
{{- end }}
{{- end -}}

{{- define "kubestudy.checks.storage" -}}
{{- $s := .Values.storage }}
{{- if and $s.url $s.urlSecret.name }}
storage.url: is of no use beside storage.urlSecret: leave one of them out
{{- end }}
{{- if and (hasPrefix "sqlite" $s.url) .Values.optunaDashboard.enabled }}
optunaDashboard.enabled: cannot open a SQLite file of the operator's pod; use journals, or a database server
{{- end }}
{{- end -}}

{{- define "kubestudy.checks.replicas" -}}
{{- $p := .Values.storage.persistence }}
{{- $shared := has "ReadWriteMany" $p.accessModes }}
{{- if and (gt (int .Values.replicas) 1) (not (include "kubestudy.database" .)) }}
{{- if hasPrefix "sqlite" .Values.storage.url }}
replicas: more than one needs a database server: a SQLite file cannot be shared. Name one in storage.urlSecret
{{- else if not $p.enabled }}
replicas: more than one needs a storage that all of them see: storage.urlSecret, or storage.persistence.enabled with a volume that several pods can mount
{{- else if and $p.existingClaim (not $shared) }}
replicas: more than one needs a claim that several pods can mount: say storage.persistence.accessModes: [ReadWriteMany] if {{ $p.existingClaim }} is one, or use storage.urlSecret
{{- else if not $shared }}
replicas: more than one needs a database server (storage.urlSecret), or storage.persistence.accessModes: [ReadWriteMany]
{{- end }}
{{- end }}
{{- end -}}

{{- define "kubestudy.checks.prometheus" -}}
{{- $p := .Values.prometheus }}
{{- range list "secret" "headers" }}
{{- if and (get $p .) (not $p.url) }}
prometheus.{{ . }}: is of no use without prometheus.url
{{- end }}
{{- end }}
{{- if and $p.secret (not $p.secretKeys) }}
prometheus.secretKeys: says which keys {{ $p.secret }} has, for instance [token]
{{- end }}
{{- if and $p.secretKeys (not $p.secret) }}
prometheus.secret: names the Secret that has the keys {{ join ", " $p.secretKeys }}
{{- end }}
{{- range list (list "username" "password") (list "password" "username") (list "tls.crt" "tls.key") (list "tls.key" "tls.crt") }}
{{- if and (has (first .) $p.secretKeys) (not (has (last .) $p.secretKeys)) }}
prometheus.secretKeys: {{ first . }} needs {{ last . }} beside it
{{- end }}
{{- end }}
{{- end -}}

{{/* Whoever may read a Deployment reads its environment and arguments. */}}
{{- define "kubestudy.checks.secrets" -}}
{{- $password := "(://[^:/@\\s]*:[^@\\s]+@)|([?&][^=&\\s]*password=[^&\\s])" }}
{{- if regexMatch $password .Values.storage.url }}
storage.url: holds a password, which whoever may read the Deployment could read: put the URL into a Secret, and name that in storage.urlSecret
{{- end }}
{{- if regexMatch $password .Values.prometheus.url }}
prometheus.url: holds a password, which whoever may read the Deployment could read: put username and password into a Secret, and name that in prometheus.secret
{{- end }}
{{- range $name, $_ := .Values.prometheus.headers }}
{{- if eq (lower $name) "authorization" }}
prometheus.headers: {{ $name }} is a secret, which whoever may read the Deployment could read: put token, or username and password, into a Secret, and name that in prometheus.secret
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
{{- if regexMatch $password . }}
extraArgs: {{ regexFind "^[^=:]+" . }} holds a password, which whoever may read the Deployment could read: put it into a Secret (storage.urlSecret, prometheus.secret)
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if regexMatch $password (toString (default "" .value)) }}
extraEnv: {{ .name }} holds a password, which whoever may read the Deployment could read: put it into a Secret, and take it by valueFrom.secretKeyRef
{{- end }}
{{- end }}
{{- end -}}

{{- define "kubestudy.checks.others" -}}
{{- if and .Values.rbac.historyGroups (not .Values.rbac.create) }}
rbac.historyGroups: are bound to a role that rbac.create makes
{{- end }}
{{- end -}}
