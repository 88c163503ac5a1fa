// The words of a player's page in Korean. docs/korean_labels.py adds this to the pages of the Korean
// chapters: whatever the page writes is translated as it appears. Code and the picture stay as they are.
const STEP = "전체 $2단계 가운데 $1단계";
const WORDS = [
  ["Find an operator, parameter or module", "연산, 매개변수, 모듈 찾기"],
  ["Find a name; Enter goes to the next match", "이름 찾기, Enter를 누르면 다음 결과로"],
  ["Open all", "모두 펼치기"], ["Open every module", "모든 모듈 펼치기"],
  ["Close all", "모두 접기"], ["Close every module", "모든 모듈 접기"],
  ["Reset", "처음대로"], ["As the picture was at first", "처음 그림으로 되돌리기"],
  ["Fit", "맞추기"], ["Show all of it", "전체가 보이게"],
  ["Computation graph", "계산 그래프"], ["The steps of the computation", "계산의 단계"],
  ["First step( \\(Home\\))?", "첫 단계$1"], ["Last step( \\(End\\))?", "마지막 단계$1"],
  ["One step back( \\(←\\))?", "한 단계 뒤로$1"], ["One step on( \\(→\\))?", "한 단계 앞으로$1"],
  ["Play", "재생"], ["Play and pause \\(space\\)", "재생과 멈춤 (스페이스)"],
  ["▶ play", "▶ 재생"], ["‖ pause", "‖ 멈춤"], ["Step", "단계"], ["The step", "이 단계"],
  ["Step (\\d+) of (\\d+), forwards", `${STEP}, 순전파`],
  ["Step (\\d+) of (\\d+), backwards", `${STEP}, 역전파`],
  ["Step (\\d+) of (\\d+), a gradient of this pass is complete", `${STEP}, 이번 역전파의 기울기 완성`],
  ["drawn as (.+)", "그림에서는 $1"],
  ["([\\d,]+) more steps were not recorded", "단계 $1개는 기록하지 않음"],
  ["step (\\d+), rule of (.+)", "$1단계, $2의 규칙"], ["step (\\d+), gradient of (.+)", "$1단계, $2의 기울기"],
  ["step (\\d+), (.+)", "$1단계, $2"],
  ["rule of (.+)", "$1의 규칙"], ["gradient of (.+)", "$1의 기울기"], ["in (.+)", "$1에서"],
  ["your line, (.+)", "실행한 줄, $1"], ["the rule", "규칙"], ["output", "출력"], ["gradient", "기울기"],
  ["g, the cotangent of the output", "g, 출력의 기울기"], ["to (\\S+)( = .+)?", "$1 쪽으로 가는 기울기$2"],
  ["kept for the rule", "규칙에 쓰려고 보관"], ["scalar (\\w+)", "스칼라 $1"],
  ["the sum of (\\d+)", "$1개의 합"], ["arrival (\\d+)", "$1번째로 도착"],
  ["summed to (.+), the shape of the input", "입력의 모양 $1에 맞추어 더함"],
  ["arrival (\\d+); summed to (.+), the shape of the input", "$1번째로 도착, 입력의 모양 $2에 맞추어 더함"],
  ["min (\\S+), mean (\\S+), max (\\S+)", "최소 $1, 평균 $2, 최대 $3"],
  ["rows and columns(, thinned out)?", "행과 열$1"],
  ["elements, from left to right(, thinned out)?", "왼쪽에서 오른쪽으로 놓인 원소$1"],
  ["channels of the first sample(, thinned out)?", "첫 표본의 채널$1"],
  ["the first (\\d+) of (\\d+) channels of the first sample(, thinned out)?", "첫 표본의 채널 $2개 가운데 처음 $1개$3"],
  ["filters, of the first channel(, thinned out)?", "필터의 첫 채널$1"],
  ["the first (\\d+) of (\\d+) filters, of the first channel(, thinned out)?", "필터 $2개 가운데 처음 $1개의 첫 채널$3"],
  ["the first matrix(, thinned out)?", "첫 행렬$1"],
  ["input", "입력"], ["parameter", "매개변수"], ["operator", "연산"], ["module", "모듈"], ["closed module", "접힌 모듈"],
  ["gradient operator", "기울기 연산"], ["no matches", "결과 없음"], ["(\\d+) match(es)?", "결과 $1개"], ["(\\d+) of (\\d+)", "$2개 가운데 $1번째"],
  ["kind", "종류"], ["class", "클래스"], ["shape", "모양"], ["path", "경로"], ["operators", "연산의 수"], ["elements", "원소의 수"], ["arguments", "인수"],
].map(([english, korean]) => [new RegExp(`^${english}$`), korean]);

function inKorean(text) {
  const found = WORDS.find(([english]) => english.test(text.trim()));
  return found ? text.trim().replace(...found).replace(", thinned out", ", 일부만 표시") : text;
}
const ATTRIBUTES = ["title", "aria-label", "aria-valuetext", "placeholder"];
function translate(node) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.parentElement?.closest("pre, code, script, style, #picture, .numbers")) return;
    const korean = inKorean(node.data);
    if (korean !== node.data) node.data = korean;
    return;
  }
  for (const name of ATTRIBUTES) {
    const text = node.getAttribute?.(name);
    if (text && inKorean(text) !== text) node.setAttribute(name, inKorean(text));
  }
  node.childNodes.forEach(translate);
}
translate(document.body);
new MutationObserver((changes) => {
  for (const change of changes) [change.target, ...change.addedNodes].forEach(translate);
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
