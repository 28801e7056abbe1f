"""Seed genres, and the words of styles that say them. Our own compilation.

An entry of a table is `seed genre, seed genre: phrase, phrase, ...`; phrases are written as
`genres.normalise` leaves them. Sources are common knowledge of the field and the even half of the
reference that `experiments/genre_mapper.py` scores against.
"""

# The seed genres of Spotify's former recommendation endpoint, and four that the reference adds.
_SEED_GENRES = """
acoustic afrobeat alt-rock alternative ambient anime black-metal bluegrass blues bossanova brazil
breakbeat british cantopop chicago-house children chill classical club comedy country dance
dancehall death-metal deep-house detroit-techno disco disney drum-and-bass dub dubstep edm electro
electronic emo folk forro french funk garage german gospel goth grindcore groove grunge guitar happy
hard-rock hardcore hardstyle heavy-metal hip-hop holidays honky-tonk house idm indian indie
indie-pop industrial iranian j-dance j-idol j-pop j-rock jazz k-pop kids latin latino malay mandopop
metal metal-misc metalcore minimal-techno movies mpb new-age new-release opera pagode party
philippines-opm piano pop pop-film post-dubstep power-pop progressive-house psych-rock punk
punk-rock r-n-b rainy-day reggae reggaeton road-trip rock rock-n-roll rockabilly romance sad salsa
samba sertanejo show-tunes singer-songwriter ska sleep songwriter soul soundtracks spanish study
summer swedish synth-pop tango techno trance trip-hop turkish work-out world-music

african lo-fi rap-metal storytelling
"""
SEED_GENRES = frozenset(_SEED_GENRES.split())


def parse(table: str) -> dict[str, tuple[str, ...]]:
  """Returns {phrase: seed genres} of a table."""
  found = {}
  for line in table.strip().replace('\n  ', ' ').splitlines():
    seeds, phrases = line.split(': ')
    found |= dict.fromkeys(phrases.split(', '), tuple(seeds.split(', ')))
  return found


# What a style's words mean, wherever they stand in a name; the longest phrase wins.
STYLES = parse("""
hip-hop: hip hop, hiphop, rap, trap, drill, drill rap, boom bap, crunk, hyphy, grime, gangsta,
  g funk, turntablism, cloud rap, trap soul, plugg, horrorcore, dirty south, battle rap,
  freestyle rap, mumble rap, cali rap, conscious hip hop, rap kreyol, hip house, asakaa, ratchet,
  memphis rap, beatboxing
r-n-b: pluggnb, r and b, rnb, contemporary r and b, neo r and b, new jack swing, quiet storm,
  trap r and b
pop: hip pop, pop, bubblegum pop, teen pop, boy band, girl group, europop, schlagerpop,
  post teen pop, talent show, idol, sunshine pop, adult standards, easy listening, wonky pop,
  viral pop, lounge, barbadian pop, candy pop, adult contemporary, v pop
hip-hop, electronic: glitch hop, trap edm, wonky, beatmaking, instrumental hip hop
hip-hop, chill: lo fi beats, lo fi hip hop, jazz rap, jazzhop, jazz hop, phonk, chillhop, lo fi rap
latin, hip-hop: urbano
hip-hop, latin: latin hip hop, trap latino, trap argentino, corrido tumbado
rap-metal, metal: rap metal
rock, hip-hop: rap rock
emo, hip-hop: emo rap, sad rap, emo trap
hip-hop, african: hiplife
hip-hop, world-music: genge, bongo flava, kwaito
rock: rock, soft rock, classic rock, album rock, mellow gold, noise rock, art rock, southern rock,
  heartland rock, pub rock, jangle rock, arena rock, swamp rock, roots rock, comedy rock,
  yacht rock, dance rock, glam rock, britpop, madchester, merseybeat, krautrock, zolo, no wave,
  math rock, post rock, post post rock, sludge, stoner rock, beat music, freakbeat,
  british invasion, canterbury scene, instrumental rock, rock opera
rock, blues: blues rock, blues rock guitar
rock, folk: folk rock
rock, pop: pop rock, rock pop, poprock
rock, jazz: jazz rock, jam band
rock, electronic: electronic rock
rock, country: country rock
alt-rock: shoegaze, alternative rock, post britpop, slowcore, sadcore, spacegrunge, nu gaze, grebo,
  post grunge, modern alternative rock, dream rock
alt-rock, rock: modern rock, permanent wave, rap alternative
indie, rock: indie rock
indie, garage: indie garage rock, garage indie
indie-pop: indie pop, indiepop, twee pop, twee, c86, jangle pop, dream pop, dreampop, bedroom pop
indie, synth-pop: indie electropop, indie synthpop
indie, folk: indie folk, indie anthem folk, freak folk, chamber folk
indie: indie, bedroom, lo fi indie, new rave
alternative, rock: alternative, alt, alternativo, alternativa, alternatif
alternative, pop: alternative pop, alt pop, art pop, alternative dance
alternative, r-n-b: alternative r and b
psych-rock, rock: psychedelic rock, acid rock, space rock, neo psychedelic, psychedelic, psych,
  psicodelia, psicodelico, psychedelia, heavy psych, paisley underground, neo psicodelia
psych-rock: shimmer psych
rock, psych-rock: progressive rock, prog rock, symphonic rock, neo progressive, art prog,
  progressive
hard-rock, rock: hard rock, aor, action rock, melodic hard rock
hard-rock, metal: glam metal, hair metal, sleaze rock, cock rock
rock-n-roll: rock and roll, rock n roll, rocknroll, doo wop, doowop, rock and roll revival,
  rhythm and blues
rockabilly: rockabilly, psychobilly, gothabilly, neo rockabilly, surf, surf music
garage, rock: garage rock, garage punk, garage psych, proto punk
garage, house: uk garage, speed garage, bassline, future garage, garage, 2 step
grunge, rock: grunge, grunge pop
punk: punk, post punk, anarcho punk, oi, street punk, crust, d beat, cowpunk, deathrock, riot grrrl,
  queercore, trallpunk, egg punk, crack rock steady, synthpunk, art punk, dance punk, horror punk
punk-rock: punk rock, skate punk, melodic hardcore punk, melodic punk, orgcore, ramonescore, uk82
punk, pop: pop punk, easycore, neon pop punk
punk, folk: folk punk, celtic punk
punk, ska: ska punk
punk, emo: emo punk
emo: emo, emocore, midwest emo, sparkle emo, anthem emo
emo, punk-rock: screamo, skramz, post screamo, emoviolence
hardcore, punk: hardcore punk, melodic hardcore, post hardcore, powerviolence, straight edge,
  beatdown
hardcore: hardcore, gabber, speedcore, terrorcore, frenchcore, happy hardcore, breakcore, mathcore
hardstyle: hardstyle, rawstyle, jumpstyle, euphoric hardstyle, hard bass
metal: metal, doom metal, doom, thrash metal, thrash, power metal, folk metal, viking metal,
  pagan metal, symphonic metal, post metal, progressive metal, speed metal, nu metal, djent,
  groove metal, drone metal, crossover thrash, stoner metal, sludge metal, pirate metal, nwothm,
  alternative metal, comic metal, medieval metal, neo classical metal, cyber metal,
  mittelalter metal, funeral doom, stoner, melodic metal, instrumental metal, metal noir
metal, industrial: industrial metal, neue deutsche harte, aggrotech metal
metal, goth: gothic metal, metal gotico, gothic symphonic metal
metal, opera: opera metal, operatic metal
heavy-metal: heavy metal, nwobhm, retro metal, traditional heavy metal, proto metal, classic metal
death-metal: death metal, melodic death metal, technical death metal, brutal death metal,
  slam death metal, deathgrind, old school death metal, blackened death metal, melodeath, deathcore,
  slamming deathcore, melodic deathcore, symphonic deathcore, grisly death metal, doom death
black-metal: black metal, dsbm, blackgaze, atmospheric black metal, black death, war metal,
  raw black metal, black n roll, blackened, symphonic black metal, depressive black metal, usbm
grindcore, death-metal: grindcore, goregrind, grind, cybergrind, pornogrind, noisecore, mincecore
metalcore: metalcore, melodic metalcore, progressive metalcore, trancecore, electronicore,
  nu metalcore
goth: goth, gothic rock, gothic, darkwave, dark wave, coldwave, batcave, ethereal wave, goth rock
goth, punk: gothic post punk
industrial: industrial, ebm, power noise, martial industrial, aggrotech, futurepop, rhythmic noise
industrial, electronic: electro industrial, industrial techno, dark electro, cyberpunk,
  industrial noise
industrial, rock: industrial rock
pop, r-n-b: pop r and b, urban contemporary
pop, electronic: hyperpop, electro pop, electropop, digicore, metropopolis, bubblegum bass
pop, folk: folk pop, folkpop, pop folk
pop, dance: dance pop, euro pop, tropical pop
pop, singer-songwriter: acoustic pop
pop, hip-hop: pop rap, rap pop
pop, classical: baroque pop, chamber pop, orchestral pop, operatic pop, classical crossover
power-pop: power pop
synth-pop: synth pop, synthpop, synthwave, retrowave, outrun, vaporwave, minimal wave,
  minimal synth, spacesynth, darksynth, sovietwave, chillsynth, dreampunk, popwave, new romantic,
  italo synth
rock, synth-pop: new wave, new wave pop
r-n-b, soul: r and b soul, neo soul, alternative soul
soul: soul, motown, northern soul, southern soul, brown eyed soul, philly soul
soul, blues: soul blues
soul, jazz: soul jazz
soul, indie: indie soul, retro soul, bedroom soul, chill r and b
funk: funk, p funk, electro funk, afro funk, liquid funk, synth funk
funk, jazz: jazz funk
funk, rock: funk rock, funk metal
groove: groove
disco: disco, italo disco, nu disco, post disco, euro disco, eurodisco, space disco, hi nrg,
  disco polo
disco, house: disco house
blues: blues, delta blues, electric blues, chicago blues, memphis blues, piedmont blues,
  acoustic blues, country blues, traditional blues, texas blues, louisiana blues
jazz: jazz, bebop, hard bop, swing, big band, dixieland, ragtime, stride, gypsy jazz, manouche,
  free jazz, smooth jazz, vocal jazz, cool jazz, avant garde jazz, contemporary post bop, post bop,
  free improvisation, jazz fusion, dark jazz, jazz trio, electro swing jazz, ecm style jazz,
  third wave jazz, straight ahead jazz, torch song, spiritual jazz, harlem renaissance
jazz, piano: jazz piano
jazz, electronic: nu jazz, jazztronica, electro jazz, electro swing, acid jazz, jazz house,
  future jazz
jazz, latin: latin jazz, cubop, afro cuban jazz
jazz, classical: classical jazz fusion, third stream
jazz, blues: jazz blues
country: country, americana, outlaw, red dirt, cowboy, western swing, truck driving, bakersfield,
  redneck, bro country, countrypolitan, contemporary country, alt country
country, pop: country pop, pop country
country, folk: southern americana, appalachian
country, hip-hop: country rap
country, gospel: country gospel
honky-tonk, country: honky tonk
bluegrass: bluegrass, newgrass, progressive bluegrass, jamgrass
bluegrass, gospel: bluegrass gospel
folk: folk, folclore, folklore, folclor, folkmusik, folkemusikk, folkmusic, neofolk, celtic,
  sea shanties, stomp and holler, uilleann pipes, dark folk, traditional folk,
  american folk revival, ballad, protest, nueva cancion, nova canco, canzone, irish folk, pub song,
  scottish fiddle, medieval folk, new americana, string band, old time, jig, reel, ceilidh,
  harp folk, psychedelic folk, acid folk, neo folk
folk, rock: celtic rock, medieval rock, mittelalter, mittelalter rock
singer-songwriter: singer songwriter, cantautor, cantautora, cantautores, cantautori, liedermacher,
  songwriter, visor, visa, trova, nueva trova, bard, cantautorato, bardic
singer-songwriter, folk: acoustic folk
singer-songwriter, alternative: lilith
acoustic: acoustic, unplugged, acustico, acustica, coustica, acoustic cover, coverchill
electronic: electronic, electronica, tronica, synth, modular synth, experimental electronic,
  bass music, wave, glitch, glitchcore, glitch pop, hardwave, nightcore, leftfield, bitpop,
  hardvapour, noise, musique concrete, electroacoustic, chiptune, livetronica, future bass,
  bass house, midtempo bass, vapor twitch, fidget, filthstep, space music, suomisaundi,
  deconstructed club, footwork, juke, microsound, tekno, free tekno, moombahton, acousmatic,
  computer music, folktronica, bmore, jersey club, baile, witch house, experimental synth,
  kosmische, berlin school, sound art, field recording, organic electronic, laptronica, indie dance,
  skweee, big room bass
house: electro house, house, afro house, tech house, funky house, vocal house, latin house,
  jackin house, filter house, french house, hard house, gospel house, future house, lo fi house,
  outsider house, tribal house
electronic, indie: indietronica, chillwave, indie electronic, indie electro
electronic, jazz: future funk
electronic, world-music: ethnotronica, tribal electronic, gqom, amapiano, kuduro, shangaan electro,
  budots, singeli
electronic, chill: downtempo, chillout, chill out, balearic, chillstep, lounge electronic,
  organic downtempo
idm, electronic: idm, intelligent dance music, glitch beats, braindance, drill and bass
electro: electro, electroclash, miami bass, freestyle, booty bass, electro bass
edm, electronic: edm, big room, complextro, pop edm, future rave
edm, dance: slap house, tropical house, pop house, stutter house
dubstep, electronic: dubstep, brostep, riddim, deathstep, melodic dubstep, drumstep, tearout
post-dubstep, electronic: post dubstep, purple sound
breakbeat: breakbeat, breaks, big beat, nu skool breaks, broken beat, florida breaks,
  progressive breaks
drum-and-bass: drum and bass, drum n bass, dnb, d and b, jungle, neurofunk, jump up, sambass,
  techstep, neurostep, darkstep, crossbreed, halftime
techno: techno, ghettotech, tekk, acid techno, hard techno, schranz, hardtechno, bleep techno,
  raw techno, experimental techno, melodic techno, birmingham techno
minimal-techno, techno: minimal techno, microhouse, minimal, minimal tech house
detroit-techno, techno: detroit techno
chicago-house, house: chicago house, acid house, ghetto house
deep-house, house: deep house, organic house, deep disco house, melodic house
progressive-house: progressive house
trance: trance, psytrance, goa, goa trance, psychedelic trance, uplifting trance,
  progressive trance, hard trance, dream trance, vocal trance, full on, dark psytrance,
  suomi trance, forest psy, zenonesque, hitech, progressive psytrance
trance, techno: tech trance
ambient: ambient, drone, dark ambient, psybient, psychill, space ambient, ambient drone,
  black noise, white noise, background music, 432hz, solfeggio, binaural, brain waves, soundscape,
  environmental, color noise, pink noise, brown noise, meditation, healing, spa, field recordings,
  slowed and reverb, asmr, broken transmission, calming instrumental, healing hz, guided meditation,
  reiki
ambient, electronic: ambient synth, ambient techno, dungeon synth
ambient, classical: ambient classical, post minimalism
ambient, folk: ambient folk
sleep, ambient: sleep, lullaby, sleep sounds, baby sleep
rainy-day: rain
new-age: new age, new age piano, yoga, healing music, nu age, mindfulness, native flute
chill: chill, chill lounge, chill guitar, lo fi chill
lo-fi, chill: lo fi, lofi, lo fi cover, lo fi study
trip-hop: trip hop, triphop
study, electronic: study beats, study
dance: dance, eurodance, eurobeat, hands up, bubblegum dance, dance hit, line dance, dansband,
  italo dance, danspunk, bailable, ballroom dance, tanzmusik, dansktop, dansbandsmusik, tecnobrega,
  cantaditas, partyschlager
club: club, clubbing
party: party, birthday, carnaval, carnival, apres ski, drinking
reggae: reggae, roots reggae, rocksteady, lovers rock, nyahbinghi, ragga, reggae fusion, dub poetry,
  ragga jungle, sound system, skinhead reggae, traditional reggae
dub: dub, psydub, steppers
dub, techno: dub techno
dancehall: dancehall, bouyon, shatta
ska: ska, two tone, 2 tone, ska revival
reggaeton: reggaeton, dembow, perreo, neoperreo, cubaton, reggaeton flow, rkt, turreo
latin: latin, latino, latina, cumbia, vallenato, bachata, merengue, mambo, bolero, charanga,
  guaracha, chicha, bomba, plena, rumba, norteno, banda, ranchera, corrido, corridos, mariachi,
  tejano, grupera, duranguense, huapango, son huasteco, sierreno, tierra caliente, zamba, chacarera,
  chamame, cuarteto, punta, candombe, murga, boogaloo, cha cha cha, danzon, timba, guajira,
  pachanga, joropo, pasillo, marinera, huayno, saya, salay, llanera, tropical, nueva ola,
  tecnocumbia, champeta, porro, bullerengue, villera, cumbia villera, romantico, gaita zuliana,
  carranguera, bambuco, trival, tribal guarachero, quebradita, orquesta tropical, rondalla,
  musica llanera, villancico, marimba, milonga, cueca, tonada, payada, sanjuanito, boleros,
  romanticas, baladas
latin, folk: son jarocho, musica andina, quechua, canto popular
latin, pop: latin pop, pop latino, balada, latin arena pop, pop romantico, romantica
latin, rock: latin rock, rock latino, latin alternative, latin metal
rock, spanish: rock en espanol
salsa, latin: salsa, salsa choke, salsa romantica
tango: tango, nuevo tango
brazil: mpb, tropicalia, axe, frevo, maracatu, manguebeat, choro, bandolim, baiao, lambada, brega,
  carimbo, arrocha, piseiro, funk carioca, baile funk, brega funk, pisadinha, seresta, samba reggae,
  jovem guarda, velha guarda, funk ostentacao, funk consciente, funk mtg, funk das antigas,
  funk paulista, capoeira, cavaquinho, batidao romantico, lambadao, guitarrada, xote, bossa,
  gauchesca, vanera, musica gaucha
bossanova, brazil: bossa nova, bossanova, bossa nova jazz
samba, brazil: samba, samba enredo, partido alto, samba rock
pagode, samba: pagode, pagode baiano
sertanejo, brazil: sertanejo, sertaneja, agronejo, sertanejo universitario, modao
forro, brazil: forro
classical: classical, baroque, renaissance, early music, romantic era, romanticism, impressionism,
  chamber, string quartet, orchestra, orchestral, symphony, symphonic, choir, choral, coro, chor,
  choeur, oratory, oratorio, gregorian, chant, brass ensemble, wind ensemble, brass band,
  marching band, wind band, serialism, minimalism, modernism, neo classical, neoclassical,
  avant garde, contemporary classical, orchestral performance, historically informed performance,
  polyphony, lied, kammermusik, clasica, classique, klassik, klassisk, quatuor a cordes, boy choir,
  cathedral, concert band, percussion ensemble, saxophone quartet, guitar quartet, post romantic,
  early romantic, late romantic, galante, requiem, motet, madrigal
classical, piano: classical piano, piano classical, historic piano, fortepiano, piano duo,
  neoclassical piano
classical, guitar: classical guitar, guitarra clasica
classical, electronic: synthetic classical
classical, world-music: byzantine, orthodox chant, byzantine chant
piano: piano, piano cover, solo piano, background piano, calming piano
guitar: guitar, guitarra, fingerstyle, american primitive, steel guitar, ukulele, slide guitar,
  solo guitar, gitarre
opera, classical: opera, operetta, zarzuela, bel canto
show-tunes: show tunes, broadway, musical, musicals, west end, music hall, cabaret, vaudeville,
  tin pan alley
soundtracks: soundtrack, soundtracks, score, scorecore, video game music, vgm, game, epicore,
  trailer, tv, library music
movies: hollywood, movie tunes
soundtracks, movies: movie, film, cinema, bande originale, film score, cine
disney, movies: disney
anime: anime, vocaloid, otacore, seinen, shonen, anime score, anime phonk, touhou, shojo
comedy: comedy, parody, stand up, humor, humour, kabarett, novelty, meme, satire
children: children, childrens, kids, infantil, infantiles, enfants, enfant, barn, kinder,
  kinderlieder, comptine, kinderchor, childrens music, barnmusik, barnemusikk, lapsille, lasten,
  bambini, dla dzieci, ninos, nursery, toddler, childrens folk, preschool children, cartoon,
  childrens story, barnsagor, lastenlaulu, baby
storytelling: hoerspiel, horspiel, audiobook, poetry, spoken word, fairy tale, lesung, storytelling,
  eventyr
gospel: gospel, worship, praise, ccm, christian music, lovsang, adoracao, adoracion, evangelica,
  evangelico, hymn, hymns, church, catholic, catolica, louvor, alabanza, gospel music,
  praise and worship, cristiana, cristiano, christian, crista, religieux, liturgical, jesus, bible,
  christliche, lobpreis, christelijk, spirituals, rohani, kristen, kristelig
gospel, hip-hop: christian hip hop, gospel rap, christian trap
gospel, pop: christian pop
gospel, rock: christian rock, christian alternative rock
gospel, indie: christian indie
gospel, metal: christian metal, christian hard rock
holidays: christmas, navidad, noel, weihnachten, holiday, holidays, halloween, xmas, joulu,
  julemusikk
romance: romance, erotica, wedding, mariage, love songs, sensual
sad: sad, melancholia, heartbreak, crying
work-out: workout, fitness, gym, cycling
happy: feel good
j-pop: j pop, jpop, japanese pop, city pop, kayokyoku, shibuya kei, japanese city pop, enka,
  japanese teen pop, j r and b, j rap
j-idol, j-pop: j idol, japanese idol, japanese girl group, seiyu, idol rock, japanese idol pop
j-rock: j rock, jrock, japanese rock, visual kei, j metal, j punk, j poprock,
  japanese alternative rock, oshare kei, j pop punk, j core
j-dance: j dance, japanese dance, para para, j edm, japanese edm, denpa
indie, j-rock: j indie, japanese indie
j-pop, anime: anime pop
k-pop: k pop, kpop, korean pop, k rap, k rock, k r and b, k ballad, korean ost, trot, k hop,
  korean r and b, k pop boy group, k pop girl group
indie, k-pop: k indie, korean indie
mandopop: mandopop, c pop, cpop, taiwan pop, chinese pop, mainland chinese pop, xinyao,
  chinese idol, mandarin, minyo pop
cantopop: cantopop, hong kong, hk, cantonese
pop, world-music: t pop, p pop, q pop, qazaq pop, ethnic pop
indian: bollywood, tollywood, kollywood, filmi, bhangra, ghazal, carnatic, hindustani, raga, bhajan,
  khayal, dhrupad, kirtan, sufi, qawwali, thumri, mantra, desi, sandalwood, mollywood,
  santoor indian, devotional, kirtana, shabad, gurbani, baul, rabindra sangeet, lavani, dandiya,
  garba, odissi, adivasi, sanskrit, vedic
philippines-opm: opm, kundiman, manila sound
malay: melayu, dangdut malay, lagu melayu, irama malaysia, nasyid, lagu timur
turkish: turku, turkuleri, fantezi, turku folk, ozgun, halk muzigi, sanat muzigi, turkuler
iranian: radif, dastgah, persian traditional, santur, setar, tombak
afrobeat: afrobeat, afrobeats, afropop, afro, afro pop, alte, afroswing, juju, highlife, azonto,
  afro soul, afro psych, afro r and b
world-music: world music, worldbeat, ethno, aboriginal, fado, klezmer, gamelan, rebetiko, laiko,
  entehno, chaabi, rai, gnawa, dabke, mugham, maqam, throat singing, mbalax, soukous,
  rumba congolaise, kizomba, zouk, morna, coladeira, funana, marrabenta, benga, taarab, chimurenga,
  makossa, bikutsi, ndombolo, coupe decale, zoblazo, mande, mandinga, griot, wassoulou,
  desert blues, tuareg, maskandi, mbaqanga, isicathamiya, soca, calypso, kompa, konpa, mizik,
  beguine, gwoka, junkanoo, goombay, parang, mento, sega, maloya, chutney, cadence, gagaku, minyo,
  okinawan, pansori, samul nori, gugak, min yo, hula, kapa haka, himene, polka, oompah, blaskapelle,
  blasmusik, volksmusik, landler, jodel, yodeling, iskelma, humppa, rautalanka, joik, yoik, dangdut,
  campursari, keroncong, pop sunda, kroncong, lagu, lam, luk thung, mor lam, molam, turbo folk,
  sevdah, sevdalinka, manele, chalga, lautareasca, lautari, gypsy, romani, balkan brass, balkan,
  csardas, tanchaz, sirtaki, jalsat, naat, nasheed, anasheed, quran, islamic, sholawat, hamd, zikr,
  sufi chant, mawal, tarab, samai, kuthu, baila, dangdut koplo, tuna universitaria, gwerz, fest noz,
  chanson, cajun, zydeco, creole, kreyol, sean nos, fanfare, bandari, ethnomusicology, smithsonian,
  neo pagan, shamanic, powwow, first nations, inuit, andean flute, xhosa, zulu, swahili,
  zilizopendwa, kwasa kwasa, semba, tarraxinha, kilapanga, apala, fuji, palm wine, jaipongan,
  degung, judaica, jewish, cantorial, nigun, mizrahi, ladino, sephardic, hasidic, chazzanut,
  hassidic, israeli folk, talentkonkurranse
world-music, spanish: flamenco, cante flamenco, nuevo flamenco, flamenco guitar
world-music, dance: tanci, kuduro antigo, tarantella, kolo
world-music, german: schlager, volkstumliche
spanish: jota, copla, cante, sevillanas, rumba catalana, pasodoble, cancion melodica,
  flamenco urbano
french: variete, variete francaise, chanson francaise, ye ye, nouvelle chanson, french chanson,
  chanson paillarde
""")
