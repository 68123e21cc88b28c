package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// ErrNoSuchVersion means that the secret exists but has no version with the stage that the reference names: a secret
// has no AWSPREVIOUS before its first rotation. It is found inside a *ReferenceError.
var ErrNoSuchVersion = errors.New("the secret has no version with this stage")

// currentStage is the staging label of a secret's version in use; every secret that has a value has one.
const currentStage = "AWSCURRENT"

// amazon reads from AWS Secrets Manager. The SDK is set up at the first read: a start
// without awssm: references does not pay for it.
type amazon struct {
	mu     sync.Mutex
	client *secretsmanager.Client
}

// fetch reads one version. For Secrets Manager a secret and a version that do not exist are the same error; which of
// them it is shows in whether the secret has a current version.
func (a *amazon) fetch(ctx context.Context, want AWSSecret) ([]byte, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	value, err := get(ctx, client, want)
	if errorCode(err) == codeNotFound && want.Stage != currentStage {
		current := want
		current.Stage = currentStage
		if _, atAll := get(ctx, client, current); atAll == nil {
			err = ErrNoSuchVersion
		}
	}
	if err != nil {
		return nil, fmt.Errorf("secret %q, stage %s: %w", want.ID, want.Stage, err)
	}
	return value, nil
}

// get returns SecretString, or SecretBinary for a secret that has no text.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func get(ctx context.Context, client *secretsmanager.Client, want AWSSecret) ([]byte, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(want.ID),
		VersionStage: aws.String(want.Stage),
	}, func(o *secretsmanager.Options) {
		if want.Region != "" {
			o.Region = want.Region
		}
	})
	if err != nil {
		return nil, err
	}
	if out.SecretString != nil {
		return []byte(*out.SecretString), nil
	}
	return out.SecretBinary, nil
}

func (a *amazon) connect(ctx context.Context) (*secretsmanager.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	settings, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS settings: %w", err)
	}
	a.client = secretsmanager.NewFromConfig(settings)
	return a.client, nil
}

const codeNotFound = "ResourceNotFoundException"

// errorCode is what Secrets Manager calls an error, "" for one that it did not answer with.
func errorCode(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// awsHint is the cure for what Secrets Manager answered.
func awsHint(err error) string {
	if errors.Is(err, ErrNoSuchVersion) {
		return "rotate the secret once, correct the stage, or leave the reference out"
	}
	switch errorCode(err) {
	case codeNotFound:
		return "create the secret, or correct its name, stage and region"
	case "AccessDeniedException":
		return "allow secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
	case "DecryptionFailure":
		return "allow kms:Decrypt on its key"
	}
	return "check AWS_REGION, the credentials and the network"
}
