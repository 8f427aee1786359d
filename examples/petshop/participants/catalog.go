package participants

import "github.com/skald-go/skald/examples/petshop/domain"

// backdrops holds what is in stock, and who owns which.
type backdrops struct {
	service
	stock  map[string]domain.Backdrop
	owners map[string]map[string]bool // backdrop, user
}

func (b *backdrops) routes() {
	b.name = "backdrops"
	b.handle("GET /backdrops/{name}/for/{user}", b.check)
	b.handle("POST /backdrops/{name}/owners/{user}", b.add)
	b.handle("POST /backdrops/{name}/owners/{user}/remove", b.remove)
	b.handle("POST /backdrops/{name}/decrement", b.decrement)
	b.handle("POST /backdrops/{name}/increment", b.increment)
}

// check gives the backdrop to a user who does not own it.
func (b *backdrops) check(r *request) (any, error) {
	backdrop, found := b.stock[r.PathValue("name")]
	switch {
	case !found:
		return nil, domain.ErrNoBackdrop
	case b.owners[backdrop.Name][r.PathValue("user")]:
		return nil, domain.ErrAlreadyOwned
	}
	return backdrop, nil
}

func (b *backdrops) add(r *request) (any, error) {
	backdrop, err := b.check(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	if b.owners[name] == nil {
		b.owners[name] = map[string]bool{}
	}
	b.owners[name][r.PathValue("user")] = true
	return backdrop, nil
}

func (b *backdrops) remove(r *request) (any, error) {
	delete(b.owners[r.PathValue("name")], r.PathValue("user"))
	return nil, nil
}

func (b *backdrops) decrement(r *request) (any, error) {
	backdrop, found := b.stock[r.PathValue("name")]
	switch {
	case !found:
		return nil, domain.ErrNoBackdrop
	case backdrop.Stock == 0:
		return nil, &domain.SoldOut{What: "backdrop " + backdrop.Name}
	}
	backdrop.Stock--
	b.stock[backdrop.Name] = backdrop
	return backdrop, nil
}

func (b *backdrops) increment(r *request) (any, error) {
	backdrop, found := b.stock[r.PathValue("name")]
	if !found {
		return nil, domain.ErrNoBackdrop
	}
	backdrop.Stock++
	b.stock[backdrop.Name] = backdrop
	return backdrop, nil
}

// quizzes holds the quizzes by their titles.
type quizzes struct {
	service
	quizzes map[string]domain.Quiz
}

func (q *quizzes) routes() {
	q.name = "quizzes"
	q.handle("POST /quizzes/{title}", q.create)
	q.handle("POST /quizzes/{title}/delete", q.remove)
}

func (q *quizzes) create(r *request) (any, error) {
	var quiz domain.Quiz
	if err := r.decode(&quiz); err != nil {
		return nil, err
	}
	if _, found := q.quizzes[quiz.Title]; found {
		return nil, domain.ErrQuizExists
	}
	q.quizzes[quiz.Title] = quiz
	return quiz, nil
}

func (q *quizzes) remove(r *request) (any, error) {
	delete(q.quizzes, r.PathValue("title"))
	return nil, nil
}

// releases records which pets were let go.
type releases struct {
	service
	releases map[string]domain.Release // by pet
}

func (l *releases) routes() {
	l.name = "releases"
	l.handle("POST /releases/{pet}", l.record)
	l.handle("POST /releases/{pet}/delete", l.remove)
}

func (l *releases) record(r *request) (any, error) {
	var release domain.Release
	if err := r.decode(&release); err != nil {
		return nil, err
	}
	l.releases[r.PathValue("pet")] = release
	return release, nil
}

func (l *releases) remove(r *request) (any, error) {
	delete(l.releases, r.PathValue("pet"))
	return nil, nil
}
