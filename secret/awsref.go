package secret

import (
	"context"
	"encoding/json"
	"strings"
)

// AWSSecret names one version of a secret in AWS Secrets Manager.
type AWSSecret struct {
	ID     string // name or ARN
	Stage  string // staging label, AWSCURRENT unless the reference names another
	Region string // the ARN's region; empty means the SDK's

	key string // key in a JSON secret; empty means the whole secret
}

// parseAWS reads NAME-OR-ARN[#jsonKey][@STAGE]. A name cannot hold '#', but it and a key
// may hold '@': the last one starts the stage, so such a reference has to name its stage.
func parseAWS(ref, text string) (AWSSecret, error) {
	id, key, hasKey := strings.Cut(text, "#")
	tail := id
	if hasKey {
		tail = key
	}
	stage := currentStage
	at := strings.LastIndexByte(tail, '@')
	if at >= 0 {
		tail, stage = tail[:at], tail[at+1:]
	}
	if hasKey {
		key = tail
	} else {
		id = tail
	}
	if id == "" || stage == "" || (hasKey && key == "") {
		return AWSSecret{}, &ReferenceError{Ref: ref, Problem: "is incomplete", Hint: "write awssm:NAME-OR-ARN, then #jsonKey and @STAGE if needed"}
	}
	region, err := arnRegion(ref, id)
	return AWSSecret{ID: id, Stage: stage, Region: region, key: key}, err
}

// arnRegion is the region that an ARN names, so that a secret of another region is found
// where it is. A plain name has none.
func arnRegion(ref, id string) (string, error) {
	if !strings.HasPrefix(id, "arn:") {
		return "", nil
	}
	parts := strings.SplitN(id, ":", 7)
	if len(parts) < 7 || parts[2] != "secretsmanager" || parts[3] == "" || parts[5] != "secret" {
		return "", &ReferenceError{Ref: ref, Problem: "is not the ARN of a secret",
			Hint: "write awssm:arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"}
	}
	return parts[3], nil
}

func (r *Resolver) readAWS(ctx context.Context, ref string, want AWSSecret) ([]byte, error) {
	text, err := r.config.AWS(ctx, want)
	if err != nil {
		return nil, &ReferenceError{Ref: ref, Problem: "cannot be read from AWS Secrets Manager", Hint: awsHint(err), Err: err}
	}
	if len(text) > maxSize || want.key == "" {
		return bounded(ref, text)
	}
	return pick(ref, text, want.key)
}

// pick returns one text value of a JSON secret. What is wrong with the JSON is not told
// in the decoder's words, which may quote the secret.
func pick(ref string, text []byte, key string) ([]byte, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil, &ReferenceError{Ref: ref, Problem: "is not a JSON object", Hint: "drop #" + key + ", or store keys and values"}
	}
	member, found := members[key]
	if !found {
		return nil, &ReferenceError{Ref: ref, Problem: "has no key " + key, Hint: "correct the key's name; case counts"}
	}
	var value *string
	if json.Unmarshal(member, &value) != nil || value == nil {
		return nil, &ReferenceError{Ref: ref, Problem: "does not hold text under " + key, Hint: "store the value as a JSON string"}
	}
	return bounded(ref, []byte(*value))
}
