"""What `genres.py` knows: seed genres, words of styles, words of regions. Our own compilation.

A line of a table is `seed genre, seed genre: phrase, phrase, ...`; phrases are written as
`genres.normalise` leaves them. Sources are common knowledge of the field and the even half of the
reference that `experiments/genre_mapper.py` scores against.
"""

# The seed genres of Spotify's former recommendation endpoint, and four that the reference adds.
SEED_GENRES = frozenset("""
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
""".split())


def _parse(table: str) -> dict[str, tuple[str, ...]]:
  """Returns {phrase: seed genres} of a table."""
  found = {}
  for line in table.strip().splitlines():
    seeds, phrases = line.split(': ')
    found |= dict.fromkeys(phrases.split(', '), tuple(seeds.split(', ')))
  return found


# What a style's words mean, wherever they stand in a name; the longest phrase wins.
STYLES = _parse("""
hip-hop: hip hop, hiphop, rap, trap, drill, drill rap, boom bap, crunk, hyphy, grime, gangsta, g funk
hip-hop: turntablism, cloud rap, trap soul, plugg, pluggnb, rage, horrorcore, chopper, dirty south
hip-hop: bounce, battle rap, freestyle rap, snap, jerk, mumble rap, cali rap, conscious hip hop
hip-hop: hip hop tuga, rap kreyol, hip pop, hip house, asakaa, ratchet, memphis rap, beatboxing
hip-hop, electronic: glitch hop, trap edm, wonky, beatmaking, instrumental hip hop
hip-hop, chill: lo fi beats, lo fi hip hop, jazz rap, jazzhop, jazz hop, phonk, chillhop, lo fi rap
latin, hip-hop: urbano
hip-hop, latin: latin hip hop, trap latino, trap argentino, corrido tumbado
rap-metal, metal: rap metal
rock, hip-hop: rap rock
emo, hip-hop: emo rap, sad rap, emo trap
hip-hop, african: hiplife
hip-hop, world-music: genge, bongo flava, kwaito, gqom hip hop, mokshani, azontobeats
rock: rock, rocksteady rock, soft rock, classic rock, album rock, mellow gold, noise rock, art rock
rock: southern rock, heartland rock, pub rock, jangle rock, arena rock, swamp rock, boogie rock
rock: roots rock, comedy rock, yacht rock, dance rock, glam rock, britpop, madchester, merseybeat
rock: krautrock, zolo, no wave, math rock, post rock, post post rock, sludge, stoner rock, beat music
rock: freakbeat, british invasion, canterbury scene, instrumental rock, rock opera, cover band
rock, blues: blues rock, blues rock guitar
rock, folk: folk rock, rock folk
rock, pop: pop rock, rock pop, poprock, soft rock pop, jangle pop rock, piano rock, dance rock pop
rock, jazz: jazz rock, jam band
rock, electronic: electronic rock, electronicore rock, electro rock
rock, country: country rock
rock, punk: punk rock alternative
alt-rock: shoegaze, alternative rock, post britpop, slowcore, sadcore, spacegrunge, nu gaze, grebo
alt-rock: alternative metal alternative rock, post grunge, modern alternative rock, dream rock
alt-rock, rock: modern rock, permanent wave, rap alternative
indie, rock: indie rock, indie garage pop, indie psych rock
indie, garage: indie garage rock, garage indie
indie-pop: indie pop, indiepop, twee pop, twee, c86, jangle pop, dream pop, dreampop, dreamo, bedroom pop
indie, synth-pop: indie electropop, indie synthpop
indie, folk: indie folk, indie anthem folk, freak folk, chamber folk
indie: indie, indi, bedroom, lo fi indie, new rave, small room, weirdcore, escape room
alternative, rock: alternative, alt, alternativo, alternativa, alternatif
alternative, pop: alternative pop, alt pop, art pop, alternative dance
alternative, r-n-b: alternative r and b
psych-rock, rock: psychedelic rock, acid rock, space rock, neo psychedelic, psychedelic, psych, psicodelia
psych-rock, rock: psicodelico, psychedelia, heavy psych, paisley underground, raga rock, neo psicodelia
psych-rock: shimmer psych
rock, psych-rock: progressive rock, prog rock, symphonic rock, neo progressive, art prog, progressive
hard-rock, rock: hard rock, rock hard, aor, action rock, melodic hard rock
hard-rock, metal: glam metal, hair metal, sleaze rock, cock rock
rock-n-roll: rock and roll, rock n roll, rocknroll, doo wop, doowop, rock and roll revival, rhythm and blues
rockabilly: rockabilly, psychobilly, gothabilly, neo rockabilly, surf, surf music
garage, rock: garage rock, garage punk, garage psych, proto punk
garage, house: uk garage, speed garage, bassline, future garage, garage, 2 step
grunge, rock: grunge, grunge pop
punk: punk, post punk, anarcho punk, oi, street punk, crust, d beat, cowpunk, deathrock, riot grrrl, queercore
punk: trallpunk, egg punk, crack rock steady, synthpunk, art punk, dance punk, horror punk, queer punk
punk-rock: punk rock, skate punk, melodic hardcore punk, melodic punk, orgcore, ramonescore, uk82
punk, pop: pop punk, easycore, neon pop punk
punk, folk: folk punk, celtic punk
punk, ska: ska punk
punk, emo: emo punk
emo: emo, emocore, midwest emo, sparkle emo, dreamo, anthem emo, pixie
emo, punk-rock: screamo, skramz, post screamo, emoviolence
hardcore, punk: hardcore punk, melodic hardcore, post hardcore, powerviolence, straight edge, beatdown
hardcore: hardcore, gabber, speedcore, terrorcore, frenchcore, happy hardcore, breakcore, mathcore
hardstyle: hardstyle, rawstyle, jumpstyle, euphoric hardstyle, hard bass
metal: metal, doom metal, doom, thrash metal, thrash, power metal, folk metal, viking metal, pagan metal
metal: symphonic metal, post metal, progressive metal, speed metal, nu metal, djent, groove metal, drone metal
metal: crossover thrash, stoner metal, sludge metal, gothic metal metal, pirate metal, celtic metal, nwothm
metal: alternative metal, comic metal, medieval metal, neo classical metal, cyber metal, mittelalter metal
metal: deathgrind metal, funeral doom, stoner, trancecore metal, melodic metal, instrumental metal, metal noir
metal, industrial: industrial metal, neue deutsche harte, aggrotech metal
metal, goth: gothic metal, metal gotico, gothic symphonic metal
metal, opera: opera metal, operatic metal
metal, folk: neofolk metal
metal, jazz: jazz metal
heavy-metal: heavy metal, nwobhm, retro metal, traditional heavy metal, proto metal, classic metal
death-metal: death metal, melodic death metal, technical death metal, brutal death metal, slam death metal
death-metal: deathgrind, goregrind death, old school death metal, blackened death metal, melodeath, deathcore
death-metal: slamming deathcore, melodic deathcore, symphonic deathcore, grisly death metal, doom death
black-metal: black metal, dsbm, blackgaze, atmospheric black metal, black death, war metal, raw black metal
black-metal: black n roll, blackened, symphonic black metal, folk black metal, depressive black metal, usbm
grindcore, death-metal: grindcore, goregrind, grind, cybergrind, pornogrind, noisecore, mincecore
metalcore: metalcore, melodic metalcore, progressive metalcore, trancecore, electronicore, nu metalcore
goth: goth, gothic rock, gothic, darkwave, dark wave, coldwave, batcave, ethereal wave, goth rock
goth, punk: gothic post punk, goth punk
goth, alternative: dark post punk
industrial: industrial, ebm, power noise, martial industrial, aggrotech, futurepop, rhythmic noise
industrial, electronic: electro industrial, industrial techno, dark electro, cyberpunk, industrial noise
industrial, rock: industrial rock
pop: pop, bubblegum pop, teen pop, boy band, girl group, europop, dance pop pop, schlagerpop, post teen pop
pop: talent show, idol, sunshine pop, adult standards, easy listening, wonky pop, viral pop, antipop, social media
pop: hip pop, lounge, barbadian pop, candy pop, mainstream, pop music, adult contemporary
pop, r-n-b: pop r and b, urban contemporary
pop, electronic: hyperpop, electro pop, electropop, synthetic pop, digicore, metropopolis, bubblegum bass
pop, folk: folk pop, folkpop, pop folk
pop, soul: pop soul
pop, dance: dance pop, pop dance, euro pop, tropical pop
pop, singer-songwriter: singer songwriter pop, acoustic pop
pop, hip-hop: pop rap, rap pop
pop, classical: baroque pop, chamber pop, orchestral pop, operatic pop, classical crossover
power-pop: power pop
synth-pop: synth pop, synthpop, synthwave, retrowave, outrun, vaporwave, minimal wave, minimal synth, spacesynth
synth-pop: darksynth, sovietwave, chillsynth, dreampunk, popwave, new romantic, italo synth
rock, synth-pop: new wave, new wave pop
r-n-b: r and b, rnb, contemporary r and b, neo r and b, new jack swing, quiet storm, trap r and b, pluggnb
r-n-b, soul: r and b soul, neo soul, alternative soul
soul: soul, motown, northern soul, southern soul, brown eyed soul, classic soul, philly soul, soul music
soul, blues: soul blues
soul, jazz: soul jazz
soul, indie: indie soul, retro soul, bedroom soul, chill r and b
funk: funk, p funk, boogie, go go, funk music, electro funk, afro funk, jazz funk, liquid funk, synth funk
funk, rock: funk rock, funk metal
funk, jazz: jazz funk
groove: groove
disco: disco, italo disco, nu disco, post disco, euro disco, eurodisco, space disco, hi nrg, disco polo
disco, house: disco house
blues: blues, delta blues, electric blues, chicago blues, memphis blues, piedmont blues, harmonica blues
blues: acoustic blues, country blues, traditional blues, texas blues, punk blues, jump blues, louisiana blues
jazz: jazz, bebop, hard bop, swing, big band, dixieland, ragtime, stride, gypsy jazz, manouche, free jazz
jazz: smooth jazz, vocal jazz, cool jazz, avant garde jazz, contemporary post bop, post bop, free improvisation
jazz: jazz fusion, dark jazz, cabaret jazz, jazz trio, jazz guitar, electro swing jazz, ecm style jazz
jazz: third wave jazz, hammond organ, straight ahead jazz, torch song, spiritual jazz, harlem renaissance
jazz, piano: jazz piano
jazz, electronic: nu jazz, jazztronica, electro jazz, electro swing, acid jazz, jazz house, future jazz
jazz, latin: latin jazz, cubop, afro cuban jazz
jazz, classical: classical jazz fusion, third stream
jazz, blues: jazz blues
jazz, funk: funk jazz
country: country, americana, outlaw, red dirt, cowboy, western swing, truck driving, bakersfield
country: redneck, bro country, countrypolitan, contemporary country, country road, alt country, country dawn
country, pop: country pop, pop country
country, folk: southern americana, folk country, appalachian, cowboy western
country, hip-hop: country rap
country, gospel: country gospel
honky-tonk, country: honky tonk
bluegrass: bluegrass, newgrass, progressive bluegrass, jamgrass, jug band
bluegrass, gospel: bluegrass gospel
folk: folk, folclore, folklore, folclor, folkmusik, folkemusikk, folkmusic, neofolk, celtic, sea shanties
folk: stomp and holler, uilleann pipes, dark folk, traditional folk, american folk revival, ballad, protest
folk: nueva cancion, nova canco, canzone, irish folk, pub song, scottish fiddle, medieval folk, new americana
folk: string band, old time, jig, reel, ceilidh, harp folk, psychedelic folk, acid folk, neo folk
folk, world-music: folkmusik world, spelmanslag
folk, rock: celtic rock, medieval rock, mittelalter, mittelalter rock
singer-songwriter: singer songwriter, cantautor, cantautora, cantautores, cantautori, liedermacher, songwriter
singer-songwriter: compositional, visor, visa, trova, nueva trova, bard, cantautorato, bardic
singer-songwriter, folk: melancholia folk, acoustic folk, stomp folk
singer-songwriter, alternative: lilith, post lilith
acoustic: acoustic, unplugged, acustico, acustica, coustica, acoustic cover, coverchill
electronic: electronic, electronica, electro house, tronica, synth, modular synth, experimental electronic
electronic: bass music, wave, glitch, glitchcore, glitch pop, hardwave, nightcore, wonk, leftfield, bitpop
electronic: hardvapour, noise, drone noise, musique concrete, electroacoustic, chiptune, livetronica
electronic: future bass, bass house, midtempo bass, vapor twitch, fidget, filthstep, space music, suomisaundi
electronic: deconstructed club, footwork, juke, electra, bleep, microsound, tekno, free tekno, moombahton
electronic: acousmatic, computer music, folktronica, bmore, jersey club, ballroom, baile, spacewave, witch house
electronic: experimental synth, kosmische, berlin school, tape, sound art, sound collage, field recording
electronic: new tribe, organic electronic, laptronica, float house, indie dance, skweee, big room bass
electronic, indie: indietronica, chillwave, indie electronic, indie electro
electronic, jazz: future funk
electronic, world-music: ethnotronica, tribal electronic, folk electronic, electronic tribal, gqom, amapiano
electronic, world-music: kuduro, shangaan electro, budots, singeli, balkan beats, electro latino world
electronic, chill: downtempo, chillout, chill out, balearic, chillstep, lounge electronic, organic downtempo
idm, electronic: idm, intelligent dance music, glitch beats, braindance, drill and bass
electro: electro, electroclash, miami bass, freestyle, booty bass, electro bass
edm, electronic: edm, big room, complextro, pop edm, future rave, electro house edm, festival, brostep trap
edm, dance: slap house, tropical house, dance edm, pop house, stutter house
dubstep, electronic: dubstep, brostep, riddim, deathstep, melodic dubstep, drumstep, tearout, chillstep dub
post-dubstep, electronic: post dubstep, purple sound
breakbeat: breakbeat, breaks, big beat, nu skool breaks, broken beat, florida breaks, progressive breaks
drum-and-bass: drum and bass, drum n bass, dnb, d and b, jungle, neurofunk, jump up, liquid, sambass, techstep
drum-and-bass: neurostep, darkstep, crossbreed, halftime
techno: techno, ghettotech, tekk, acid techno, hard techno, schranz, dub techno techno, tech, hardtechno
techno: bleep techno, ambient techno techno, raw techno, experimental techno, melodic techno, birmingham techno
minimal-techno, techno: minimal techno, microhouse, minimal, minimal tech house
detroit-techno, techno: detroit techno
chicago-house, house: chicago house, acid house, ghetto house
house: house, afro house, tech house, electro house, funky house, vocal house, latin house, jackin house
house: filter house, french house, hard house, gospel house, future house, lo fi house, outsider house, tribal house
deep-house, house: deep house, organic house, deep disco house, melodic house
progressive-house: progressive house, progressive electro house
trance: trance, psytrance, goa, goa trance, psychedelic trance, uplifting trance, progressive trance, hard trance
trance: dream trance, vocal trance, full on, dark psytrance, suomi trance, forest psy, zenonesque, hitech, progressive psytrance
trance, psych-rock: psychill trance
trance, techno: tech trance
ambient: ambient, drone, dark ambient, psybient, psychill, space ambient, ambient drone, black noise, white noise
ambient: background music, 432hz, solfeggio, binaural, brain waves, soundscape, environmental, water, ocean
ambient: color noise, pink noise, brown noise, meditation, healing, spa, field recordings, slowed and reverb, asmr
ambient: broken transmission, atmosphere, calming instrumental, healing hz, nature, guided meditation, reiki, frequency
ambient, electronic: ambient synth, ambient techno, ambient idm, ambient dub, space, dungeon synth
ambient, classical: ambient classical, post minimalism
ambient, folk: ambient folk
sleep, ambient: sleep, lullaby, sleep sounds, baby sleep
rainy-day: rain
new-age: new age, new age piano, world meditation, yoga, healing music, nu age, mindfulness, native flute
chill: chill, chillhop beats, chill lounge, chill beats, chill guitar, lo fi chill
lo-fi, chill: lo fi, lofi, lo fi cover, lo fi study
trip-hop: trip hop, triphop
study, electronic: study beats, study
dance: dance, eurodance, eurobeat, hands up, bubblegum dance, dance hit, line dance, dansband, italo dance, hip house dance
dance: danspunk, bailable, ballroom dance, tanzmusik, dansktop, dansbandsmusik, tecnobrega, cantaditas, partyschlager
club: club, clubbing, hard club
party: party, birthday, carnaval, carnival, apres ski, happy, fest, drinking
reggae: reggae, roots reggae, rocksteady, lovers rock, nyahbinghi, ragga, reggae fusion, dub poetry, ragga jungle
reggae: sound system, skinhead reggae, traditional reggae
dub: dub, psydub, dub reggae, steppers
dub, techno: dub techno
dancehall: dancehall, bouyon, shatta, riddim dancehall, raggamuffin
ska: ska, two tone, 2 tone, ska revival, ska jazz
reggaeton: reggaeton, dembow, perreo, neoperreo, cubaton, reggaeton flow, romantic flow, rkt, turreo, guaracha electronic
latin: latin, latino, latina, cumbia, vallenato, bachata, merengue, mambo, bolero, son cubano, charanga, guaracha, chicha
latin: bomba, plena, rumba, norteno, banda, ranchera, corrido, corridos, mariachi, tejano, grupera, duranguense, bongo
latin: huapango, son huasteco, sierreno, tierra caliente, zamba, chacarera, chamame, cuarteto, punta, candombe, murga
latin: boogaloo, cha cha cha, danzon, timba, guajira, pachanga, joropo, pasillo, marinera, huayno, saya, salay, llanera
latin: tropical, nueva ola, tecnocumbia, champeta, porro, bullerengue, villera, cumbia villera, romantico, gaita zuliana
latin: carranguera, bambuco, trival, tribal guarachero, quebradita, orquesta tropical, rondalla, duranguense, musica llanera
latin: orgullo, villancico, marimba, milonga, cueca, tonada, payada, sanjuanito, boleros, romanticas, baladas
latin, folk: son jarocho, musica andina, huayno folk, quechua, folklore latin, canto popular
latin, pop: latin pop, pop latino, balada, latin arena pop, pop romantico, romantica
latin, rock: latin rock, rock latino, latin alternative, latin metal
rock, spanish: rock en espanol
salsa, latin: salsa, salsa choke, salsa romantica
tango: tango, nuevo tango, milonga tango, bandoneon
brazil: mpb, tropicalia, axe, frevo, maracatu, manguebeat, choro, bandolim, baiao, lambada, brega, calypso brazil, carimbo
brazil: arrocha, piseiro, funk carioca, baile funk, brega funk, pisadinha, seresta, samba reggae, jovem guarda, piseiro
brazil: velha guarda, viola caipira, funk ostentacao, funk consciente, funk mtg, funk das antigas, funk paulista, rasteirinha
brazil: capoeira, cavaquinho, batidao romantico, lambadao, guitarrada, xote, bossa, gauchesca, vanera, musica gaucha
bossanova, brazil: bossa nova, bossanova, bossa nova jazz
samba, brazil: samba, samba enredo, partido alto, samba rock
pagode, samba: pagode, pagode baiano
sertanejo, brazil: sertanejo, sertaneja, agronejo, sertanejo universitario, modao
forro, brazil: forro
classical: classical, baroque, renaissance, early music, romantic era, romanticism, impressionism, chamber, string quartet
classical: orchestra, orchestral, symphony, symphonic, choir, choral, coro, chor, choeur, oratory, oratorio, gregorian, chant
classical: brass ensemble
classical: wind ensemble, brass band, marching band, wind band, serialism, minimalism, modernism, neo classical, neoclassical, avant garde
classical: contemporary classical, compositional ambient, orchestral performance, historically informed performance, polyphony, lied
classical: kammermusik, clasica, classique, klassik, klassisk, quatuor a cordes
classical: boy choir, cathedral, concert band, percussion ensemble, saxophone quartet, guitar quartet
classical: post romantic, early romantic, late romantic, galante, mass, requiem, motet, madrigal, sacred, nuclear
classical, piano: classical piano, piano classical, historic piano, fortepiano, piano duo, neoclassical piano
classical, guitar: classical guitar, guitarra clasica
classical, electronic: synthetic classical, electroacoustic composition
classical, world-music: byzantine, orthodox chant, byzantine chant
piano: piano, piano cover, solo piano, piano mpb, background piano, calming piano
guitar: guitar, guitarra, fingerstyle, american primitive, steel guitar, ukulele, slide guitar, solo guitar, gitarre
opera, classical: opera, operetta, zarzuela, bel canto, opera singer, barbershop opera
show-tunes: show tunes, broadway, musical, musicals, west end, music hall, cabaret, vaudeville, hollywood musical, tin pan alley
soundtracks: soundtrack, soundtracks, score, scorecore, video game music, vgm, game, epicore, trailer, tv, library music
movies: hollywood, movie tunes
soundtracks, movies: movie, film, cinema, bande originale, film score, cine
disney, movies: disney
anime: anime, vocaloid, otacore, seinen, shonen, anime score, anime phonk, anime rap, anime lo fi, touhou, shojo, anime latino, weeaboo
comedy: comedy, parody, stand up, humor, humour, comic, kabarett, novelty, meme, satire, comedia
children: children, childrens, kids, children music, infantil, infantiles, enfants, enfant, barn, kinder, kinderlieder, comptine, kinderchor
children: childrens music, musica infantil, barnmusik, barnemusikk, lapsille, lasten, bambini, dla dzieci, ninos, nursery, toddler
children: childrens folk, preschool children, cartoon, childrens story, barnsagor, barnas, zecchino d oro, lastenlaulu, kleuter, baby
children, world-music: infantil latinoamericana world
storytelling: hoerspiel, horspiel, audiobook, reading, poetry, spoken word, fairy tale, story, lesung, storytelling, eventyr
gospel: gospel, worship, praise, ccm, christian music, lovsang, adoracao, adoracion, evangelica, evangelico, hymn, hymns, church
gospel: catholic, catolica, louvor, alabanza, gospel music, praise and worship, cristiana, cristiano, christian, crista, religieux, liturgical
gospel: jesus, bible, christliche, lobpreis, christelijk, spirituals, a cappella gospel, rohani, kristen, kristelig, devotional christian
gospel, hip-hop: christian hip hop, gospel rap, christian trap
gospel, pop: christian pop
gospel, rock: christian rock, christian alternative rock
gospel, indie: christian indie
gospel, metal: christian metal, christian hard rock
holidays: christmas, navidad, noel, weihnachten, holiday, holidays, jul, halloween, xmas, natal, joulu, julemusikk, winter
romance: romance, erotica, love, wedding, mariage, love songs, sensual
sad: sad, melancholia, heartbreak, crying, depressive
work-out: workout, fitness, running, gym, cycling
happy: feel good
j-pop: j pop, jpop, japanese pop, city pop, kayokyoku, shibuya kei, japanese city pop, enka, japanese teen pop, j r and b, j rap
j-idol, j-pop: j idol, japanese idol, japanese girl group, seiyu, idol rock, japanese idol pop
j-rock: j rock, jrock, japanese rock, visual kei, j metal, j punk, j poprock, japanese alternative rock, oshare kei, j pop punk, j core
j-dance: j dance, japanese dance, para para, j edm, japanese edm, denpa
indie, j-rock: j indie, japanese indie
j-pop, anime: anime pop
k-pop: k pop, kpop, korean pop, k rap, k rock, k r and b, k ballad, korean ost, trot, k hop, korean r and b, k pop boy group, k pop girl group
indie, k-pop: k indie, korean indie
mandopop: mandopop, c pop, cpop, taiwan pop, chinese pop, mainland chinese pop, xinyao, chinese idol, mandarin, minyo pop
cantopop: cantopop, hong kong, hk, cantonese
pop: v pop
pop, world-music: t pop, p pop, q pop, qazaq pop, ethnic pop
indian: bollywood, tollywood, kollywood, filmi, bhangra, ghazal, carnatic, hindustani, raga, bhajan, khayal, dhrupad, kirtan
indian: sufi, qawwali, thumri, mantra, desi, sandalwood, mollywood, desi pop, desi hip hop, santoor indian, devotional
indian: kirtana, shabad, gurbani, baul, rabindra sangeet, lavani, dandiya, garba, odissi, adivasi, sanskrit, vedic
philippines-opm: opm, kundiman, manila sound, pinoy pop
malay: melayu, dangdut malay, lagu melayu, irama malaysia, nasyid, lagu timur, malaysian pop
turkish: turku, turkuleri, arabesk, fantezi, turku folk, ozgun, halk muzigi, sanat muzigi, turkuler
iranian: radif, dastgah, persian traditional, santur, setar, tombak
afrobeat: afrobeat, afrobeats, afropop, afro, afro pop, alte, afroswing, juju, highlife, azonto, afro soul, afro psych, afro r and b
world-music: world music, worldbeat, ethno, aboriginal
world-music: fado, flamenco, klezmer, gamelan, rebetiko, laiko, entehno, schlager folk, chaabi, rai, gnawa, dabke, mugham, maqam, throat singing
world-music: mbalax, soukous, rumba congolaise, kizomba, zouk, morna, coladeira, funana, marrabenta, benga, taarab, chimurenga, makossa
world-music: bikutsi, ndombolo, coupe decale, zoblazo, mande, mandinga, griot, wassoulou, desert blues, tuareg, maskandi, mbaqanga, isicathamiya
world-music: soca, calypso, kompa, konpa, mizik, beguine, gwoka, junkanoo, goombay, parang, mento, sega, maloya, chutney, cadence
world-music: gagaku, minyo, okinawan, pansori, samul nori, gugak, min yo
world-music: hula, kapa haka, himene, ukelele hawaiian, polka, oompah, blaskapelle, blasmusik, volksmusik, landler, jodel, yodeling
world-music: iskelma, humppa, rautalanka, joik, yoik, dangdut, campursari, keroncong, pop sunda, kroncong, lagu, lam, luk thung, mor lam, molam
world-music: turbo folk, sevdah, sevdalinka, manele, chalga, lautareasca, lautari, gypsy, romani, balkan brass, balkan, csardas, tanchaz, sirtaki
world-music: jalsat, naat, nasheed, anasheed, quran, islamic, sholawat, hamd, zikr, sufi chant, mawal, tarab, samai, kuthu, baila, dangdut koplo
world-music: tuna universitaria, gwerz, fest noz, chanson, cajun, zydeco, creole, kreyol, sean nos, fanfare, bandari, gabber folk, tahitian drumming
world-music: ethnomusicology, smithsonian, neo pagan, shamanic, powwow, first nations, inuit, andean flute, xhosa, zulu, swahili
world-music: zilizopendwa, kwasa kwasa, semba, tarraxinha, kilapanga, apala, fuji, palm wine, jaipongan, degung, sape, rondo
world-music: judaica, jewish, cantorial, nigun, mizrahi, ladino, sephardic, hasidic, chazzanut, hassidic, israeli folk, talentkonkurranse, gamelan gong
world-music, dance: tanci, horo, kuduro antigo, tarantella, kolo
world-music, german: schlager, volkstumliche, alpine, heimat
spanish: jota, copla, cante, sevillanas, rumba catalana, pasodoble, cancion melodica, flamenco urbano
world-music, spanish: flamenco, cante flamenco, nuevo flamenco, flamenco guitar
french: variete, variete francaise, chanson francaise, ye ye, nouvelle chanson, french chanson, chanson paillarde
""")

# What a word that is no style ends, or begins, with.
AFFIXES = _parse("""
electronic: tronica, tronic, wave, tek
hardcore: core
alt-rock: gaze
electronic, dance: beat
dubstep: step
reggaeton: aton, eton
acoustic: coustica, coustic
hip-hop: hop, rap, trap, phonk
rock: rock
pop: pop
punk: punk
metal: metal
folk: folk
jazz: jazz
funk: funk
soul: soul
house: house
techno: techno
trance: trance
disco: disco
reggae: reggae
bluegrass: grass
rockabilly: billy
""")

# Words that speak only where the name has no other style.
VAGUE = _parse("""
electronic: experimental, beats, remix, dj, modular, bass, drain, psy
rock: beat, scene, sound, tribute, cover
indie: bandas, underground, weird
country: texas, nashville
world-music: musica, musique, musik, muzica, musikk, muziek, musiikki, musiikkia, muzika, music, song
world-music: songs, canto, percussion, drums, drumming, dances, cultural, ethnic, world, tribal
world-music: traditional, traditionnelle, tradicional, ritual, indigenous, native, islands, pacific
world-music: mbira, kora, kalimba, oud, duduk, ney, qanun, saz, baglama, bouzouki, tamburica, tambura
world-music: cimbalom, balalaika, kantele, didgeridoo, hang, handpan, shamisen, koto, shakuhachi, taiko
world-music: guzheng, pipa, erhu, guqin, gayageum, panpipe, steelpan, kulintang, angklung, djembe
folk, world-music: accordion, concertina, hurdy gurdy, dulcimer, bagpipe, bagpipes, pipe band, zampogna
folk, world-music: nyckelharpa, hardingfele, tin whistle, bodhran, irish flute, jaw harp
folk: fiddle, banjo, mandolin, harmonica
latin, folk: charango, cuatro, tiple, requinto, tres
classical: organ, harpsichord, lute, viol, violin, cello, viola, oboe, clarinet, bassoon, flute, horn
classical: trumpet, trombone, tuba, saxophone, recorder, theorbo, harp, soprano, tenor, baritone
classical: countertenor, ensemble, quartet, trio, conductor, medieval, strings
indian: sitar, tabla, veena, bansuri, sarod, dhol, nadaswaram
""")

# Words of regions, and the seed genre that they add. `world-music` is not added to indie music.
REGIONS = _parse("""
latin: mexican, mexicano, mexicana, mexico, argentine, argentino, argentina, chilean, chileno, chilena, colombian, colombiano
latin: colombiana, colombia, peruvian, peruano, peruana, peru, venezuelan, venezolano, venezolana, venezuela, ecuadorian, ecuatoriano
latin: ecuatoriana, bolivian, boliviano, boliviana, uruguayan, uruguayo, uruguaya, paraguayan, paraguayo, paraguaya, cuban, cubano, cubana
latin: dominican, dominicano, dominicana, puerto rican, puertorriqueno, puertorriquena, boricua, salvadoran, salvadoreno, salvadorena
latin: guatemalan, guatemalteco, chapin, honduran, hondureno, catracho, nicaraguan, nicaraguense, nica, costa rican, costarricense, tico
latin: panamanian, panameno, panama, latinoamericano, latinoamericana, latin american, chicano, andean, andino, andina, caribbean latin
latin: chihuahua, sonorense, monterrey, tijuana, guadalajara, cdmx, jalisco, jalisciense, oaxaca, oaxaquena, yucateca, veracruz, regiomontano, sinaloense
latin: buenos aires, rosario, cordoba, cordobes, mendoza, caracas, bogota, bogotano, medellin, cali, lima, limeno, santiago, quito, guayaquil, la plata
latin: jujeno, salteno, santiagueno, cuyano, litoral, patagonico, chiapaneco, tapatio, potosino, poblano, nortena, tamaulipas, havana, montevideo
brazil: brazilian, brasileiro, brasileira, brasileiros, brasileiras, brasil, brazil, nacional, carioca, paulista, baiana, baiano, mineiro, mineira
brazil: gaucho, gaucha, paraense, piauiense, cearense, pernambucano, pernambucana, goiano, goiania, nordestino, nordestina, capixaba, curitibano
brazil: curitiba, manaus, potiguar, sergipano, paraibano, amazonense, rondoniense, catarinense, brasilia, brasiliense, caipira, maranhense, alagoano
brazil: recife, sao paulo, rio de janeiro, belo horizonte, porto alegre, salvador, bh, sp, cuiabano, amapaense, amazonica, acreano, matogrossense
spanish: spanish, espanol, espanola, espanoles, spain, catala, catalana, catalan, euskal, euskaldun, euskera, basque, vasco, galician, gallego, gallega
spanish: galego, galega, galicia, andaluz, andaluza, valenciano, valenciana, valencia, aragones, aragonesa, asturiano, asturiana, asturian, canario
spanish: canaria, madrid, madrileno, barcelona, bilbao, sevilla, sevillano, murciano, malaga, mallorca, menorca, pitiusa, ibiza, granada, zaragoza, castellana
german: german, deutsche, deutscher, deutsches, deutsch, germany, berlin, bavarian, bayerisch, hamburg, koln, cologne, munich, frankfurt, leipzig, ostdeutsch
german: neue deutsche, sachsen, schwabisch, frankisch, norddeutsch, bremen, stuttgart
french: french, francais, francaise, france, francophone, marseille, paris, parisian, rennes, lyon, lille, toulouse, bordeaux, nantes, strasbourg, francilien
swedish: swedish, svensk, svenska, svenskt, sweden, stockholm, malmo, norrland, goteborg, uppsala, skane, gotland
british: british, uk, english, brit, england, scottish, welsh, scotland
indian: indian, hindi, tamil, telugu, malayalam, kannada, punjabi, bengali, bhojpuri, manipuri, marathi, gujarati, odia, assamese, rajasthani, haryanvi
indian: mumbai, delhi, kolkata, chennai, bangalore, india, naga, mizo, khasi, chhattisgarhi, nagpuri, garhwali, kumaoni, himachali, dogri, maithili
indian: santali, konkani, goan, sindhi, northeast indian, kashmiri, hyderabadi, kerala, tulu, jharkhandi, uttarakhandi, oriya, sambalpuri
iranian: iranian, persian, farsi, tehran, iran
turkish: turkish, turk, turkce, turkiye, istanbul, anadolu, anatolian, ankara, karadeniz, izmir
malay: malaysian, malay, malaysia, sabahan, sabah, sarawak, kelantan, brunei, bruneian
philippines-opm: pinoy, filipino, filipina, philippine, philippines, manila, tagalog, visayan, bisaya, cebu, cebuano, ilocano, ilonggo, bicol, davao
k-pop: korean, korea, seoul, busan
j-pop: japanese, japan, tokyo, osaka, nagoya, kyoto, j
afrobeat: nigerian, ghanaian, naija, lagos, nigeria, ghana, yoruba, igbo afro
african: african, africa, africaine
world-music: south african, kenyan, ugandan, tanzanian, rwandan, burundian, congolese, congolais, angolan, angolano
world-music: mozambican, mocambicano, zambian, zimbabwean, zim, malawian, botswana, motswako, namibian, swazi, lesotho, basotho, malagasy, mauritian
world-music: comorian, comorienne, reunionnais, reunionnaise, seychelles, senegalese, gambian, malian, guinean, ivorian, ivoirien, burkinabe, togolese, beninese
world-music: cameroonian, camerounais, gabonese, gabonais, cape verdean, cabo verde, sierra leonean, liberian, igbo, hausa, ethiopian, eritrean, somali
world-music: sudanese, egyptian, libyan, tunisian, tunisien, algerian, algerien, moroccan, maroc, marocain, berber, amazigh, kabyle, saharan, mauritanian, arab, arabic
world-music: arabe, syrian, lebanese, palestinian, jordanian, iraqi, saudi, khaleeji, yemeni, kuwaiti, emirati, omani, bahraini, kurdish, sorani, kurmanji
world-music: armenian, azeri, azerbaijani, georgian, kazakh, uzbek, kyrgyz, tajik, turkmen, uyghur, mongolian, tibetan, nepali, bhutanese, bangladeshi, bangla
world-music: sri lankan, sinhala, pakistani, pashto, afghan, maldivian, indonesian, indonesia, javanese, sundanese, balinese, batak, minang, acehnese, bugis
world-music: thai, isan, lao, khmer, cambodian, vietnamese, viet, burmese, myanmar, hmong, karen, bodo, ladakhi, borneo, timor leste, papuan, png, maori, samoan
world-music: tongan, fijian, fiji, tahitian, polynesian, melanesian, micronesian, solomon islands, vanuatu, kiribati, new caledonian, kanak, hawaiian, hawaii
world-music: greenlandic, greenland, sami, icelandic, faroese, israeli, hebrew, yiddish, yakut, sakha, tatar, chechen, circassian, adyghe, caucasian, bashkir
world-music: buryat, tuvan, altai, siberian, kalmyk, ossetian, dagestani, abkhaz, crimean tatar, pontian, flemish, moorish, native american, mapuche, quechua
world-music: haitian, trinidadian, jamaican, bahamian, barbadian, guadeloupe, martinique, antillais, antillaise, guyanese, surinamese, belizean, garifuna, curacao, aruban
""")
