package session_test

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"time"

	"vestibule/session"
)

// noise gives the same random bytes in every run, so that measured sizes are the same in every run.
func noise(seed byte, n int) []byte {
	r := rand.NewChaCha8([32]byte{seed})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

const uuids = `"origin_jti":"5d2a9f3e-8c1b-47d6-9e0f-2b7c4a6d8e10","event_id":"c0f1e2d3-b4a5-4968-8777-66554433aabb"`

// accessToken is a Cognito access token of about the usual 1,115 characters.
func accessToken() string {
	head := `{"kid":"` + base64.StdEncoding.EncodeToString(noise(1, 32)) + `","alg":"RS256"}`
	claims := `{"sub":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182","iss":"` + issuer +
		`","version":2,"client_id":"` + clientID + `",` + uuids +
		`,"token_use":"access","scope":"aws.cognito.signin.user.admin openid profile email","auth_time":1789990000,"exp":1789993600,` +
		`"iat":1789990000,"jti":"91b3d5f7-0a2c-4e68-8bad-cf1357908642","username":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182"}`
	return part([]byte(head)) + "." + part([]byte(claims)) + "." + part(noise(2, 256))
}

// refreshToken is a refresh token of Cognito's form: a JWE of five parts, about 1,780 characters.
func refreshToken() string {
	return part([]byte(`{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}`)) + "." + part(noise(3, 256)) + "." + part(noise(4, 12)) + "." +
		part(noise(5, 1000)) + "." + part(noise(6, 16))
}

// idToken is a Cognito ID token of about 1,260 characters.
func idToken() string {
	head := `{"kid":"` + base64.StdEncoding.EncodeToString(noise(7, 32)) + `","alg":"RS256"}`
	claims := `{"at_hash":"` + part(noise(8, 16)) + `","sub":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182","email_verified":true,"iss":"` + issuer +
		`","cognito:username":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182","nonce":"` + part(noise(9, 16)) + `",` + uuids + `,"aud":"` + clientID +
		`","token_use":"id","auth_time":1789990000,"name":"Ada Lovelace","exp":1789993600,"iat":1789990000,` +
		`"jti":"0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9","email":"ada.lovelace@gmail.com"}`
	return part([]byte(head)) + "." + part([]byte(claims)) + "." + part(noise(10, 256))
}

// cognitoTokens is what a sign-in at Cognito gives, with the claims that are kept by default.
func cognitoTokens(now time.Time) session.Tokens {
	return session.Tokens{
		AccessToken: accessToken(), Issued: now, Expires: now.Add(time.Hour), RefreshToken: refreshToken(),
		Scope: "aws.cognito.signin.user.admin openid profile email", Nonce: part(noise(9, 16)),
		Subject: "a3c4f8d2-7061-70e5-8b2c-3d4e5f607182", ProviderID: "5d2a9f3e-8c1b-47d6-9e0f-2b7c4a6d8e10",
		Claims: json.RawMessage(`{"sub":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182","email":"ada.lovelace@gmail.com","email_verified":true,` +
			`"name":"Ada Lovelace","cognito:username":"a3c4f8d2-7061-70e5-8b2c-3d4e5f607182"}`),
	}
}
