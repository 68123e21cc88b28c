package devidp

// texts are the lines of the pages in one language; the last four tell a problem.
type texts struct {
	Lang, SignIn, SignUp, Email, Password, Name string
	NoAccount, HaveAccount, ErrorTitle, Warning string
	wrong, exists, details, full                string
}

// of is the line for a problem; nothing for none.
func (t texts) of(p problem) string {
	switch p {
	case problemCredentials:
		return t.wrong
	case problemExists:
		return t.exists
	case problemDetails:
		return t.details
	case problemFull:
		return t.full
	}
	return ""
}

// textsFor takes a value of the lang parameter. Cognito's further languages (de, es, fr, it, ko, zh-TW) get the
// English page, marked as English.
func textsFor(lang string) texts {
	switch lang {
	case "pt-BR":
		return portuguese()
	case "ja":
		return japanese()
	case "id":
		return indonesian()
	case "zh-CN":
		return chinese()
	}
	return english()
}

func english() texts {
	return texts{
		Lang:        "en",
		SignIn:      "Sign in",
		SignUp:      "Create account",
		Email:       "Email",
		Password:    "Password",
		Name:        "Name",
		NoAccount:   "No account? Create one",
		HaveAccount: "Have an account? Sign in",
		ErrorTitle:  "Could not sign in",
		Warning:     "Development provider. Do not use real passwords.",
		wrong:       "Incorrect username or password.",
		exists:      "A user with this email already exists.",
		details:     "Enter a valid email address and a password of at least 8 characters.",
		full:        "There is no room for more users.",
	}
}

func portuguese() texts {
	return texts{
		Lang:        "pt-BR",
		SignIn:      "Entrar",
		SignUp:      "Criar conta",
		Email:       "E-mail",
		Password:    "Senha",
		Name:        "Nome",
		NoAccount:   "Não tem conta? Crie uma",
		HaveAccount: "Já tem conta? Entre",
		ErrorTitle:  "Não foi possível entrar",
		Warning:     "Provedor de desenvolvimento. Não use senhas verdadeiras.",
		wrong:       "Nome de usuário ou senha incorretos.",
		exists:      "Já existe um usuário com este e-mail.",
		details:     "Informe um e-mail válido e uma senha de pelo menos 8 caracteres.",
		full:        "Não há lugar para mais usuários.",
	}
}

func japanese() texts {
	return texts{
		Lang:        "ja",
		SignIn:      "サインイン",
		SignUp:      "アカウントを作成",
		Email:       "メールアドレス",
		Password:    "パスワード",
		Name:        "名前",
		NoAccount:   "アカウントをお持ちでない方は作成",
		HaveAccount: "アカウントをお持ちの方はサインイン",
		ErrorTitle:  "サインインできませんでした",
		Warning:     "開発用のプロバイダーです。実際のパスワードは入力しないでください。",
		wrong:       "ユーザー名またはパスワードが正しくありません。",
		exists:      "このメールアドレスのユーザーは既に存在します。",
		details:     "有効なメールアドレスと8文字以上のパスワードを入力してください。",
		full:        "これ以上ユーザーを追加できません。",
	}
}

func indonesian() texts {
	return texts{
		Lang:        "id",
		SignIn:      "Masuk",
		SignUp:      "Buat akun",
		Email:       "Email",
		Password:    "Kata sandi",
		Name:        "Nama",
		NoAccount:   "Belum punya akun? Buat akun",
		HaveAccount: "Sudah punya akun? Masuk",
		ErrorTitle:  "Tidak dapat masuk",
		Warning:     "Penyedia untuk pengembangan. Jangan gunakan kata sandi asli.",
		wrong:       "Nama pengguna atau kata sandi salah.",
		exists:      "Pengguna dengan email ini sudah ada.",
		details:     "Masukkan email yang valid dan kata sandi minimal 8 karakter.",
		full:        "Tidak ada tempat untuk pengguna baru.",
	}
}

func chinese() texts {
	return texts{
		Lang:        "zh-CN",
		SignIn:      "登录",
		SignUp:      "创建账户",
		Email:       "电子邮件",
		Password:    "密码",
		Name:        "姓名",
		NoAccount:   "没有账户？创建一个",
		HaveAccount: "已有账户？登录",
		ErrorTitle:  "无法登录",
		Warning:     "仅供开发使用的身份提供方。请勿输入真实密码。",
		wrong:       "用户名或密码不正确。",
		exists:      "使用此电子邮件的用户已存在。",
		details:     "请输入有效的电子邮件和至少 8 个字符的密码。",
		full:        "无法再添加用户。",
	}
}
