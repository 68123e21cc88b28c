package config

import (
	"fmt"
	"strings"
)

const intro = `# Configuration

This page is generated from the table that the program itself reads. After a change there, run
` + "`go test ./config -run TestReferencePage -update`" + `.

## Three sources

1. a YAML file, named by ` + "`--config`" + ` or ` + "`VESTIBULE_CONFIG`" + `;
2. the environment: the key's path in capitals, joined by ` + "`_`" + ` behind ` + "`VESTIBULE_`" + `;
3. flags: ` + "`--provider.client_id=value`" + ` or ` + "`--provider.client_id value`" + `; true or false may be bare, as in ` + "`--token.include_id_token`" + `.

The later source wins, key by key. A key is set when it is there, even if its value is empty; in the file, a
key with nothing behind it is not set. A name that is not known is an error; what
Kubernetes sets for a Service called vestibule is passed over. Lists are comma-separated in the environment and in
flags, names with values are written ` + "`k=v,k=v`" + `, and a later source replaces the whole list.
Durations are a number and its unit, such as ` + "`90s`, `5m` or `720h`" + `, and more than zero unless the default is zero.
` + "`vestibule check`" + ` says everything that is wrong at once.

## Secrets

` + "`provider.client_secret`, `session.keys`, `cache.url`, `admin.token`" + ` and the secrets of ` + "`machine.clients`" + ` hold the secret itself or say where it is:

| reference | read from |
|---|---|
| ` + "`env:NAME`" + ` | an environment variable |
| ` + "`file:/path`" + ` | a file; one line break at its end is dropped |
| ` + "`awssm:NAME-OR-ARN#jsonKey@STAGE`" + ` | AWS Secrets Manager. Without ` + "`#jsonKey`" + ` the whole secret, without ` + "`@STAGE`" + ` the stage ` + "`AWSCURRENT`" + `. A name or key that holds ` + "`@`" + ` needs its stage |

References are read at start, which fails if one cannot be read. Files and AWS are read again every hour; when
that fails, the last good value stays. To let session keys follow a rotation at AWS, list both stages:
` + "`awssm:app/key,awssm:app/key@AWSPREVIOUS`" + `. A secret that was never rotated has no ` + "`AWSPREVIOUS`" + ` yet: among
` + "`session.keys`" + ` such an entry is passed over with a warning, anywhere else it is a fault. A flag is visible to every user of the machine: give secrets there as references.

## A small file

` + "```yaml\n" + example + "```\n"

const example = `public_url: https://app.example.com
provider:
  issuer: https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE
  client_id: 1example23456789
  client_secret: env:APP_CLIENT_SECRET
session:
  keys:
    - file:/run/secrets/session-key
`

// Reference renders docs/configuration.md from the table that Load uses.
func Reference() string {
	var page strings.Builder
	page.WriteString(intro)
	section(&page, group{"General", "Addresses and paths."})
	for _, g := range groups() {
		section(&page, g)
	}
	return page.String()
}

// section writes the rows of one group; the keys outside any group are General.
func section(page *strings.Builder, g group) {
	fmt.Fprintf(page, "\n## %s\n\n%s\n\n| key | environment | default | meaning |\n|---|---|---|---|\n", g.name, g.doc)
	for _, k := range keys() {
		if k.group == g.name || k.group == "" && g.name == "General" {
			fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", k.path, k.envCell(), k.defaultCell(), k.doc+missing(k))
		}
	}
}

func (k key) envCell() string {
	if k.fileOnly {
		return "file only"
	}
	return "`" + k.env + "`"
}

func (k key) defaultCell() string {
	switch {
	case k.required:
		return "required"
	case k.shown != "":
		return k.shown
	case k.initial == "":
		return "none"
	}
	return "`" + k.initial + "`"
}

// missing says what of a key this version does not serve.
func missing(k key) string {
	for _, row := range notYet(new(Config)) {
		if row.key == k.path {
			return " Not available in this version: " + row.note + "."
		}
	}
	return ""
}
