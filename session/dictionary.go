package session

// dictionary is text that the sessions of one provider and client are likely to contain, so that it costs no bytes. deflate
// prefers near matches: the likeliest text stands last. Change a byte of it and every session sealed before is unreadable.
//
// The hexadecimal bytes are the lengths and kinds that packToken and appendRun put between the texts, and the marks that stand
// for UUIDs: with them one match reaches from one text into the next. Claims stand in Cognito's order and, before that,
// sorted by name, as many other providers write them.
func dictionary(issuer, clientID string) []byte {
	const (
		next    = "\xff\x00" // a UUID
		first   = "\xff\x01" // the first one again: in Cognito's tokens the subject
		idToken = `"picture":"https://","locale":"en","preferred_username":"","zoneinfo":"",` +
			`"identities":[{"userId":"","providerName":"Google","providerType":"Google","primary":"true"}],"aud":["` +
			`"token_use":"id","jti":""azp":"","sid":"`
		sortedHead = `{"typ":"JWT","alg":"RS256","kid":"` + `{"alg":"RS256","kid":"="}` + "\x01\x81\x04" + `{"auth_time":17,"client_id":"`
		sortedMid  = `","cognito:groups":["admins"],"event_id":"` + next + `","exp":17,"iat":17,"iss":"`
		sortedTail = `","jti":"` + next + `","origin_jti":"` + next + `","scope":"openid email profile","sub":"` + next +
			`","token_use":"access","username":"` + "\xff\x04" + `","version":2}` + "\x02\x80\x02\x05\x01\x2e"
		claims = `","family_name":"","given_name":"","name":"","cognito:username":"","email":"@gmail.com","email_verified":true,` +
			`"name":"","cognito:username":"` + first
		refresh = `"}` + "\x02\x05\x01\x2e" + `{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}` + "\x02\x02\x02\x02\x00\x16"
		scope   = `phone offline_access` + "\x14" + `openid profile email$` + "\x32" +
			`aws.cognito.signin.user.admin openid profile email$` + first + "$\xff\x02"
		accessHead = "\x03\x01\x44" + `{"kid":"=","alg":"RS256"}` + "\x01\x81\x04" + `{"sub":"` + next + `","cognito:groups":["admin"],"iss":"`
		accessTail = `","origin_jti":"` + next + `","event_id":"` + next + `","token_use":"access",` +
			`"scope":"aws.cognito.signin.user.admin openid profile email","auth_time":17,"exp":17,"iat":17,"jti":"` + next +
			`","username":"` + first
	)
	return []byte(idToken + sortedHead + clientID + sortedMid + issuer + sortedTail + claims + refresh + scope +
		accessHead + issuer + `","version":2,"client_id":"` + clientID + accessTail)
}
